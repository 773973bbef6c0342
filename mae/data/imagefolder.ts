// A folder of JPEG, PNG or WebP files as torchvision's ImageFolder reads it, or one flat folder without labels.
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, relative } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { withChannels } from './channels.ts';
import { DamagedImage } from './damage.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD } from './dataset.ts';
import { decoding } from './encoded.ts';
import { readImage } from './image.ts';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.webp']);

/** Code point order, as Python sorts. */
const sorted = (names: string[]): string[] => names.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

/**
 * `root/SPLIT/CLASS/*` or `root/SPLIT/*`, else (for the split train) `root/CLASS/*` or `root/*`. Classes are the sorted
 * names of the folders that hold images; files are sorted within each.
 */
export async function imageFolder(root: string, split = 'train'): Promise<Dataset> {
  const base = await baseOf(root, split);
  const classes: string[] = [];
  const files: { path: string; label: number }[] = [];
  const entries = await entriesOf(base);
  const folders: string[] = [];
  for (const e of entries) if (await isFolder(base, e)) folders.push(e.name);
  for (const name of sorted(folders)) {
    const found = await imagesUnder(join(base, name));
    if (!found.length) continue;
    for (const path of found) files.push({ path, label: classes.length });
    classes.push(name);
  }
  if (!files.length) {
    const flat = sorted(entries.map((e) => e.name).filter((name) => isImage(name) && !folders.includes(name)));
    for (const name of flat) files.push({ path: join(base, name), label: -1 });
  }
  if (!files.length) {
    fail(
      `imagefolder: ${base} has no .jpg, .jpeg, .png or .webp file: give a folder of images, or of one folder a class`,
    );
  }
  return {
    name: `${basename(base)} of ${root}`,
    length: files.length,
    classes: classes.length ? classes : null,
    channels: 3,
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
    read: decoding(async (index) => {
      const { path, label } = files[index];
      return { name: path, source: path, label };
    }),
    label: (index) => files[index].label,
    title: (index) => relative(base, files[index].path),
    id: (index) => relative(root, files[index].path).replaceAll('\\', '/'),
  };
}

/** Whether `root` has a folder for this split. */
export const hasSplit = async (root: string, split: string): Promise<boolean> =>
  (await stat(join(root, split)).catch(() => null))?.isDirectory() ?? false;

async function baseOf(root: string, split: string): Promise<string> {
  const found = await stat(root).catch((error) =>
    fail(`imagefolder: ${root}: ${reasonOf(error, { absent: 'give an existing folder of images' })}`),
  );
  if (!found.isDirectory()) fail(`imagefolder: ${root} is a file: give the folder that holds the images`);
  if (await hasSplit(root, split)) return join(root, split);
  if (split !== 'train') fail(`imagefolder: ${root} has no folder ${split}`);
  return root;
}

const entriesOf = (folder: string) =>
  readdir(folder, { withFileTypes: true }).catch((error) => fail(`imagefolder: ${folder}: ${reasonOf(error)}`));

export const isImage = (name: string): boolean => EXTENSIONS.has(extname(name).toLowerCase());

/** Follows links, as torchvision does. */
async function isFolder(parent: string, entry: { name: string; isDirectory(): boolean; isSymbolicLink(): boolean }) {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return (await stat(join(parent, entry.name)).catch(() => null))?.isDirectory() ?? false;
}

/** All images below a folder: folders in sorted order, files sorted within each. */
async function imagesUnder(folder: string): Promise<string[]> {
  const entries = await entriesOf(folder);
  const files: string[] = [];
  const folders: string[] = [];
  for (const e of entries) {
    if (await isFolder(folder, e)) folders.push(e.name);
    else if (isImage(e.name)) files.push(e.name);
  }
  const own = sorted(files).map((name) => join(folder, name));
  const below: string[] = [];
  for (const name of sorted(folders)) below.push(...(await imagesUnder(join(folder, name))));
  return [...own, ...below];
}

/** A file that somebody named alone. */
const named = (file: string): ReturnType<typeof readImage> =>
  readImage(file).catch((error) => {
    throw error instanceof DamagedImage ? new DamagedImage(file, error.why, 'name another, or leave it out') : error;
  });

/** Files by their paths, for a model that takes so many channels. All are decoded at once: a wrong file is told before anything else is done. */
export async function imageFiles(
  files: readonly string[],
  { channels, mean, std }: Pick<Dataset, 'channels' | 'mean' | 'std'>,
): Promise<Dataset> {
  const samples = await Promise.all(files.map(named));
  const colour: Dataset = {
    name: 'images',
    length: files.length,
    classes: null,
    channels: 3,
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
    read: async (index) => samples[index],
    title: (index) => basename(files[index]),
  };
  return { ...withChannels(colour, channels), mean, std };
}
