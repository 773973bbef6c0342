// A folder of JPEG, PNG or WebP files as torchvision's ImageFolder reads it, or one flat folder without labels.
import { stat } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { withChannels } from './channels.ts';
import { DamagedImage } from './damage.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD, type Sample } from './dataset.ts';
import { decoding } from './encoded.ts';
import { imagesUnder, LeftOut, listing } from './folder-files.ts';
import { decodeImage } from './image.ts';

/**
 * `root/SPLIT/CLASS/*` or `root/SPLIT/*`, else (for the split train) `root/CLASS/*` or `root/*`. Classes are the sorted
 * names of the folders that hold images; files are sorted within each. What is hidden (its name begins with a dot) is no image and no class.
 */
export async function imageFolder(root: string, split = 'train'): Promise<Dataset> {
  const base = await baseOf(root, split);
  const classes: string[] = [];
  const files: { path: string; label: number }[] = [];
  const left = new LeftOut();
  const { images, folders } = await listing(base, left);
  for (const folder of folders) {
    const found = await imagesUnder(folder, left, [base]);
    if (!found.length) continue;
    for (const path of found) files.push({ path, label: classes.length });
    classes.push(basename(folder));
  }
  if (files.length) left.besideClasses(base, images);
  else for (const path of images) files.push({ path, label: -1 });
  if (!files.length) {
    fail(
      `imagefolder: ${base} has no .jpg, .jpeg, .png or .webp file${left.others('; there are ')}: give a folder of images, or of one folder a class`,
    );
  }
  left.dividedOtherwise(root, split, classes, await listing(root, new LeftOut()));
  return {
    name: base === root ? root : `${split} of ${root}`,
    length: files.length,
    remarks: left.remarks(base),
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

const titleOf = (file: string | Uint8Array, index: number): string =>
  typeof file === 'string' ? basename(file) : `number ${index}`;

/** An image that somebody gave alone. */
async function given(file: string | Uint8Array, index: number): Promise<Sample> {
  const name = typeof file === 'string' ? file : titleOf(file, index);
  return decodeImage(file, name, -1).catch((error) => {
    throw error instanceof DamagedImage ? new DamagedImage(name, error.why, 'name another, or leave it out') : error;
  });
}

/**
 * Images by their paths or by the bytes of their files, as an upload gives them, for a model that takes so many channels: three, and ImageNet's
 * mean and std, unless said. All are decoded at once: a wrong file is told before anything else is done.
 * @throws DamagedImage, which names it
 */
export async function imageFiles(
  files: readonly (string | Uint8Array)[],
  { channels = 3, mean, std }: Partial<Pick<Dataset, 'channels' | 'mean' | 'std'>> = {},
): Promise<Dataset> {
  const samples = await Promise.all(files.map(given));
  const colour: Dataset = {
    name: 'images',
    length: files.length,
    classes: null,
    channels: 3,
    mean: IMAGENET_MEAN,
    std: IMAGENET_STD,
    read: async (index) => samples[index],
    title: (index) => titleOf(files[index], index),
  };
  const set = withChannels(colour, channels);
  return { ...set, mean: mean ?? set.mean, std: std ?? set.std };
}
