// A folder of the visitor's own images, in the order in which `--data_path FOLDER` has them.
import { fail } from '../../../engine/errors.ts';
import { bitmaps } from '../../data/bitmaps.ts';
import type { Dataset } from '../../data/dataset.ts';
import type { TrainingData } from '../../train/divided.ts';

const IMAGE = /\.(jpe?g|png|webp)$/i;

/** A file by its path, with the folder's own name in front. */
export type Entry = readonly [path: string, file: Blob];

interface Folder {
  readonly files: Map<string, Entry>;
  readonly folders: Map<string, Folder>;
}

const empty = (): Folder => ({ files: new Map(), folders: new Map() });

/** Code point order, as Python sorts. */
const sorted = <V>(map: ReadonlyMap<string, V>): V[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, value]) => value);

/** The images of a folder, in order: those to train on, and those of its folder `val`, if there is one. */
export function ordered(entries: readonly Entry[]): { train: Entry[]; val: Entry[] } {
  const root = empty();
  for (const entry of entries) {
    const [path] = entry;
    if (!IMAGE.test(path)) continue;
    const names = path.split('/').slice(1);
    // What is hidden does not count, as in Node; a Mac's `._photo.jpg` is no picture.
    if (names.some((name) => name.startsWith('.')) || path.startsWith('._')) continue;
    let at = root;
    for (const name of names.slice(0, -1)) {
      const next = at.folders.get(name) ?? empty();
      at.folders.set(name, next);
      at = next;
    }
    at.files.set(names.at(-1) ?? path, entry);
  }
  const val = root.folders.get('val');
  return { train: imagesOf(root.folders.get('train') ?? root), val: val ? imagesOf(val) : [] };
}

/** Of one folder a class, or, where there are no such, of one flat folder. */
function imagesOf(base: Folder): Entry[] {
  const classes = sorted(base.folders).flatMap(under);
  return classes.length ? classes : sorted(base.files);
}

/** Files of a folder before those of the folders in it. */
const under = ({ files, folders }: Folder): Entry[] => [...sorted(files), ...sorted(folders).flatMap(under)];

/** @throws where there is no image in it */
export function folderData(entries: readonly Entry[]): TrainingData {
  const { train, val } = ordered(entries);
  if (!train.length) fail('folder: there is no .jpg, .jpeg, .png or .webp file in it: choose a folder of images');
  const set = (images: readonly Entry[], base: string): Dataset =>
    bitmaps(
      images.map(([, file]) => file),
      { name: 'your images', labels: labelsOf(images, base) },
    );
  return { train: set(train, 'train'), heldout: val.length ? set(val, 'val') : null };
}

/** Numbers of the classes, one folder after the other, as Node has them; -1 in a flat folder. `base`: a folder around those of the classes. */
export function labelsOf(images: readonly Entry[], base: string): number[] {
  let [last, label] = ['', -1];
  return images.map(([path]) => {
    const names = path.split('/').slice(1);
    const [name, ...rest] = names[0] === base ? names.slice(1) : names;
    if (rest.length && name !== last) [last, label] = [name, label + 1];
    return label;
  });
}
