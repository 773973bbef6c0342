// `--data_path` to datasets: the word cifar10, a folder of CIFAR-10's binary files, or a folder of images.
import { cifar10, findCifar10 } from './cifar10.ts';
import type { Dataset } from './dataset.ts';
import { fetchCifar10, type FetchProgress } from './fetch-cifar10.ts';
import { hasSplit, imageFolder } from './imagefolder.ts';

export interface Data {
  readonly train: Dataset;
  /** Images that training never sees: CIFAR-10's last 2,000 training images, an image folder's `val`; null where there are none. */
  readonly heldout: Dataset | null;
  /** CIFAR-10's test set, an image folder's `test`. */
  readonly test: Dataset | null;
}

/** `heldout`: how many of CIFAR-10's last training images are kept back (2,000 unless said). */
export async function openData(path: string, progress?: FetchProgress, heldout?: number): Promise<Data> {
  const folder = path === 'cifar10' ? await fetchCifar10(progress) : await findCifar10(path);
  if (folder) return cifar10(folder, heldout);
  const optional = async (split: string) => ((await hasSplit(path, split)) ? imageFolder(path, split) : null);
  return { train: await imageFolder(path), heldout: await optional('val'), test: await optional('test') };
}
