// CIFAR-10 (Krizhevsky 2009) from its original binary files: records of a label byte, then 1024 R, 1024 G, 1024 B.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fail } from '../../engine/errors.ts';
import type { Dataset, Sample } from './dataset.ts';

export const CIFAR10_CLASSES = [
  'airplane',
  'automobile',
  'bird',
  'cat',
  'deer',
  'dog',
  'frog',
  'horse',
  'ship',
  'truck',
] as const;
export const CIFAR10_TRAIN_FILES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
export const CIFAR10_TEST_FILE = 'test_batch.bin';

const PIXELS = 32 * 32;
export const CIFAR10_RECORD = 1 + 3 * PIXELS;
/** Of the training images, in [0, 1]. */
const MEAN = [0.49139968, 0.48215841, 0.44653091];
const STD = [0.24703223, 0.24348513, 0.26158784];
/** Training images kept back: the last ones, so that a run can tell what it learned on images that it never saw. */
export const CIFAR10_HELDOUT = 2000;

export interface Cifar10 {
  /** The training images without the held-out ones. */
  readonly train: Dataset;
  readonly heldout: Dataset;
  readonly test: Dataset;
}

/** The folder that holds the binary files: the one named, or cifar-10-batches-bin inside it; null where neither does. */
export async function findCifar10(folder: string): Promise<string | null> {
  for (const path of [folder, join(folder, 'cifar-10-batches-bin')]) {
    if (await stat(join(path, CIFAR10_TRAIN_FILES[0])).catch(() => null)) return path;
  }
  return null;
}

/** All of it in memory (184 MB). `heldout` is how many of the last training images are kept back. */
export async function cifar10(folder: string, heldout = CIFAR10_HELDOUT): Promise<Cifar10> {
  const base = await findCifar10(folder);
  if (!base)
    return fail(`cifar10: ${folder} has no ${CIFAR10_TRAIN_FILES[0]}: name the folder of the original binary files`);
  const [test, ...batches] = await Promise.all(
    [CIFAR10_TEST_FILE, ...CIFAR10_TRAIN_FILES].map((file) => readRecords(join(base, file))),
  );
  const training = batches.flat();
  const kept = Math.max(0, training.length - heldout);
  return {
    train: dataset('cifar10 train', training.slice(0, kept)),
    heldout: dataset('cifar10 heldout', training.slice(kept)),
    test: dataset('cifar10 test', test),
  };
}

function dataset(name: string, records: readonly Uint8Array[]): Dataset {
  const read = async (index: number): Promise<Sample> => {
    const record = records[index];
    const data = new Uint8Array(3 * PIXELS);
    for (let i = 0; i < PIXELS; i++) {
      data[3 * i] = record[1 + i];
      data[3 * i + 1] = record[1 + PIXELS + i];
      data[3 * i + 2] = record[1 + 2 * PIXELS + i];
    }
    return { data, height: 32, width: 32, channels: 3, label: record[0] };
  };
  return { name, length: records.length, classes: CIFAR10_CLASSES, channels: 3, mean: MEAN, std: STD, read };
}

/** Views of one file's records. */
async function readRecords(path: string): Promise<Uint8Array[]> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) =>
    fail(`cifar10: cannot read ${path} (${error.code}): all six original binary files are needed`),
  );
  if (bytes.length === 0 || bytes.length % CIFAR10_RECORD) {
    fail(
      `cifar10: ${path} has ${bytes.length} bytes, not a multiple of ${CIFAR10_RECORD}: is it the original binary file?`,
    );
  }
  const count = bytes.length / CIFAR10_RECORD;
  const records = Array.from({ length: count }, (_, i) => bytes.subarray(i * CIFAR10_RECORD, (i + 1) * CIFAR10_RECORD));
  const wrong = records.findIndex((record) => record[0] > 9);
  if (wrong >= 0)
    fail(`cifar10: ${path}: record ${wrong} has the label ${records[wrong][0]}, labels are 0 to 9: not CIFAR-10`);
  return records;
}
