// The files of a folder of images: those that count, in Python's order, and what a person should know of those that do not.
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp']);
/** Pictures, too, as cameras, telephones and scanners write them, but not read by this name. */
const OTHERS = new Set(
  '.heic .heif .avif .tif .tiff .gif .bmp .jfif .jpe .jp2 .jxl .dng .cr2 .cr3 .nef .arw .raf .orf .rw2 .ppm .pgm'.split(
    ' ',
  ),
);
/** What other people call the parts of a divided set. */
const PARTS = /^(train(ing)?|val|valid(ation)?|dev|test(ing)?)([_-]?(set|data|images))?$/i;
const OURS = ['train', 'val', 'test'];

export const isImage = (name: string): boolean => EXTENSIONS.has(extname(name).toLowerCase());

/** Code point order, as Python sorts. */
const sorted = (names: string[]): string[] => names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

interface Listing {
  /** Paths, sorted by name. */
  readonly images: readonly string[];
  readonly folders: readonly string[];
}

/** What lies directly in a folder, without what is hidden: a Mac's `._photo.jpg` is no image, an editor's `.checkpoints` no class. */
export async function listing(folder: string, left: LeftOut): Promise<Listing> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) =>
    fail(`imagefolder: ${folder}: ${reasonOf(error)}`),
  );
  const images: string[] = [];
  const folders: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    if (await isFolder(folder, entry)) folders.push(entry.name);
    else if (isImage(entry.name)) images.push(entry.name);
    else left.file(entry.name);
  }
  const paths = (names: string[]): string[] => sorted(names).map((name) => join(folder, name));
  return { images: paths(images), folders: paths(folders) };
}

/** Follows links, as torchvision does. */
async function isFolder(parent: string, entry: { name: string; isDirectory(): boolean; isSymbolicLink(): boolean }) {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return (await stat(join(parent, entry.name)).catch(() => null))?.isDirectory() ?? false;
}

/** All images below a folder: its own, then those of its folders. A link to one of the folders that it is in (`above`) is not followed. */
export async function imagesUnder(folder: string, left: LeftOut, above: readonly string[]): Promise<string[]> {
  const real = await realpath(folder);
  for (const one of above) if ((await realpath(one)) === real) return [];
  const { images, folders } = await listing(folder, left);
  const found = [...images];
  for (const one of folders) found.push(...(await imagesUnder(one, left, [...above, folder])));
  return found;
}

/** What a folder holds that is not taken. */
export class LeftOut {
  readonly #counts = new Map<string, number>();
  readonly #remarks: string[] = [];

  file(name: string): void {
    const kind = extname(name).toLowerCase();
    if (OTHERS.has(kind)) this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  /** `; there are 12 .heic, 1 .tif`, or nothing. */
  others(before: string): string {
    const kinds = [...this.#counts].map(([kind, count]) => `${count} ${kind}`);
    return kinds.length ? `${before}${kinds.join(', ')}` : '';
  }

  besideClasses(base: string, images: readonly string[]): void {
    if (!images.length) return;
    const [first] = images;
    const such = images.length === 1 ? 'an image lies' : `${images.length} images lie`;
    this.#remarks.push(
      `${base}: ${such} beside the folders of classes and ${images.length === 1 ? 'is' : 'are'} left out (${basename(first)}): move them into one`,
    );
  }

  /** A set that somebody has divided under names that mean nothing here. */
  dividedOtherwise(root: string, split: string, classes: readonly string[], { folders }: Listing): void {
    if (split !== 'train') return;
    const names = folders.map((folder) => basename(folder));
    const parts = names.filter((name) => PARTS.test(name) && !OURS.includes(name));
    const divided = names.includes('train') || (classes.length > 1 && classes.every((name) => PARTS.test(name)));
    if (!divided || !parts.length) return;
    const taken = names.includes('train') ? 'not looked at' : 'taken for classes';
    this.#remarks.push(`${root}: ${parts.join(', ')}: ${taken}; a divided set has folders called ${OURS.join(', ')}`);
  }

  remarks(base: string): string[] {
    const others = this.others(`${base}: left out: `);
    return others
      ? [...this.#remarks, `${others}; only .jpg, .jpeg, .png and .webp count: convert them`]
      : this.#remarks;
  }
}
