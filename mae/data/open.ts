// `--data_path` to datasets: the name of a known set, or a file or folder in any of the formats, told by what is in it.
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { fail } from '../../engine/errors.ts';
import { misuse, suggestion } from '../usage.ts';
import type { Dataset } from './dataset.ts';
import { type FetchProgress, fetchSet } from './fetch.ts';
import { headOf, isPacked } from './formats/bytes.ts';
import { cifarData, findCifar, findCifarIn } from './formats/cifar.ts';
import { findIdx, idxData, isIdx } from './formats/idx.ts';
import { findNpy, isNpy, npyData } from './formats/npy.ts';
import { isParquet, parquetData } from './formats/parquet.ts';
import { filesWithin } from './formats/splits.ts';
import { isTar } from './formats/tar.ts';
import { webDataset } from './formats/webdataset.ts';
import { hasSplit, imageFolder } from './imagefolder.ts';
import { ELSEWHERE, KNOWN } from './known.ts';

/** A data set by its parts. */
export interface Data {
  readonly train: Dataset;
  /**
   * Images that training never sees: the set's own validation split, or the last 2,000 training images of the benchmarks that have none (CIFAR,
   * MNIST and its kin). null where there are none.
   */
  readonly heldout: Dataset | null;
  /** The set's own test split. */
  readonly test: Dataset | null;
}

/** What the three sets remark, each line once. */
export const remarksOf = ({ train, heldout, test }: Data): string[] => [
  ...new Set([train, heldout, test].flatMap((set) => set?.remarks ?? [])),
];

interface Asked {
  readonly path: string;
  /** Which label, where a set has several: `cifar100#coarse`, `FOLDER#fine_label`. */
  readonly label: string | undefined;
  readonly progress: FetchProgress;
  readonly heldout: number | undefined;
}

/** `heldout`: how many of the last training images of CIFAR and MNIST are kept back (2,000 unless said). */
export async function openData(given: string, progress: FetchProgress = () => {}, heldout?: number): Promise<Data> {
  const [, name, label] = /^(.+)#([^#/\\]+)$/.exec(given) ?? [];
  const asked =
    label === undefined || (await exists(given)) ? { path: given, label: undefined } : { path: name, label };
  if (Object.hasOwn(KNOWN, asked.path)) {
    const path = await fetchSet(KNOWN[asked.path].fetched, progress);
    return openAt({ path, label: asked.label, progress, heldout });
  }
  if (Object.hasOwn(ELSEWHERE, asked.path) && !(await exists(asked.path)))
    fail(`${asked.path} cannot be fetched by name: it is at ${ELSEWHERE[asked.path].where}`);
  const near = (await exists(asked.path)) ? '' : suggestion(asked.path, Object.keys(KNOWN));
  if (near) misuse(`${asked.path} is no file, no folder and no set that has a name${near}`);
  return openAt({ ...asked, progress, heldout });
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => null)) !== null;

async function openAt(asked: Asked): Promise<Data> {
  const { path, label } = asked;
  const found = await stat(path).catch(() => null);
  const open = found?.isFile() ? await fileOpener(asked) : await folderOpener(asked);
  if (label !== undefined && open.labels !== true)
    fail(`${path} has no choice of labels: leave #${label} out (cifar100 has #coarse, parquet files have columns)`);
  return open.data();
}

interface Opener {
  /** Whether `#label` means something to it. */
  readonly labels?: true;
  data(): Promise<Data>;
}

const READABLE =
  'CIFAR (cifar-10-binary.tar.gz), MNIST (idx, .gz or not), WebDataset (.tar), parquet and .npy are read, and folders of images';

/** By the first bytes. */
async function fileOpener({ path, label, progress, heldout }: Asked): Promise<Opener> {
  const head = await headOf(path, 512);
  if (isParquet(head)) return { labels: true, data: () => parquetData(path, label) };
  if (isNpy(head)) return { data: async () => npyData((await findNpy(path))!) };
  if (isIdx(head)) {
    const set = await findIdx(path);
    if (set) return { data: () => idxData(set, heldout) };
    return fail(`idx: ${path} is named otherwise than MNIST's files: call them train-images-idx3-ubyte and so on`);
  }
  if (isTar(head)) {
    const cifar = await findCifarIn(path);
    if (cifar) return { labels: true, data: () => cifarData(cifar, heldout, label) };
    if (await isPacked(path)) fail(`${path} is packed, so that samples can only be read in order: unpack it (gunzip)`);
    return { data: () => webDataset(path, progress) };
  }
  if (head.length === 0) fail(`${path} is empty: ${READABLE}`);
  if (/\.(jpe?g|png|webp)$/i.test(path)) fail(`${path} is one image: give the folder that holds the images`);
  if (head[0] === 0x50 && head[1] === 0x4b) fail(`${path} is a zip or .npz file: unpack it and give the folder`);
  return fail(`${path} of ${(await stat(path)).size} bytes is of no kind that is known: ${READABLE}`);
}

/** By the files in it. */
async function folderOpener({ path, label, progress, heldout }: Asked): Promise<Opener> {
  const cifar = await findCifar(path);
  if (cifar) return { labels: true, data: () => cifarData(cifar, heldout, label) };
  const idx = await findIdx(path);
  if (idx) return { data: () => idxData(idx, heldout) };
  if ((await filesWithin(path, '.parquet')).length) return { labels: true, data: () => parquetData(path, label) };
  const shards = (await filesWithin(path, '.tar')).length > 0 || /\{\d+\.\.\d+\}/.test(basename(path));
  if (shards) return { data: () => webDataset(path, progress) };
  if ((await filesWithin(path, '.npy', 0)).length) {
    const npy = await findNpy(path);
    if (npy) return { data: () => npyData(npy) };
  }
  return { data: () => folderOfImages(path) };
}

async function folderOfImages(path: string): Promise<Data> {
  const optional = async (split: string) => ((await hasSplit(path, split)) ? imageFolder(path, split) : null);
  return { train: await imageFolder(path), heldout: await optional('val'), test: await optional('test') };
}
