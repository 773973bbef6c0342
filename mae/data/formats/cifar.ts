// CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their original binary files, unpacked or in the archive as distributed, which is read without
// unpacking it to disk. A record is one label byte (CIFAR-100: coarse, then fine), then 1024 R, 1024 G, 1024 B.
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fail } from '../../../engine/errors.ts';
import { reasonOf } from '../../../engine/node/file-errors.ts';
import type { Dataset, Sample } from '../dataset.ts';
import type { Data } from '../open.ts';
import { benchmarkSplit } from './benchmark.ts';
import { type ByteSource, withSource } from './bytes.ts';
import { CIFAR100_COARSE, CIFAR100_FINE, CIFAR10_CLASSES, CIFAR10_STATISTICS } from './cifar-classes.ts';
import { tarEntries } from './tar.ts';

const PIXELS = 32 * 32;

interface CifarKind {
  readonly name: 'cifar10' | 'cifar100';
  readonly train: readonly string[];
  readonly test: string;
  /** The folder in the archive, and the archive. */
  readonly folder: string;
  readonly archive: string;
  /** Classes of each label byte of a record. */
  readonly labels: readonly (readonly string[])[];
  /** Of the training images, in [0, 1]. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

export const CIFAR10: CifarKind = {
  name: 'cifar10',
  train: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`),
  test: 'test_batch.bin',
  folder: 'cifar-10-batches-bin',
  archive: 'cifar-10-binary.tar.gz',
  labels: [CIFAR10_CLASSES],
  ...CIFAR10_STATISTICS,
};

export const CIFAR100: CifarKind = {
  name: 'cifar100',
  train: ['train.bin'],
  test: 'test.bin',
  folder: 'cifar-100-binary',
  archive: 'cifar-100-binary.tar.gz',
  labels: [CIFAR100_COARSE, CIFAR100_FINE],
  mean: [0.50707516, 0.48654887, 0.44091784],
  std: [0.26733429, 0.25643846, 0.27615047],
};

const KINDS = [CIFAR10, CIFAR100];
/** Names of the same sets in the forms for Python and MATLAB. */
const FOREIGN = /^cifar-10+-(batches-py|python|batches-mat|matlab)\b/;

export const recordBytes = ({ labels }: CifarKind): number => labels.length + 3 * PIXELS;

interface Cifar {
  readonly kind: CifarKind;
  /** The folder of the binary files, or the archive. */
  readonly path: string;
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => null))?.isFile() ?? false;

/** The set whose files lie in a folder, unpacked (there or in a folder named as in the archive) or as the archive; null where none does. */
export async function findCifar(folder: string): Promise<Cifar | null> {
  for (const kind of KINDS) {
    for (const path of [folder, join(folder, kind.folder)]) {
      // CIFAR-100's names are everyone's: both must be there.
      const needed = kind === CIFAR10 ? [kind.train[0]] : [...kind.train, kind.test];
      if ((await Promise.all(needed.map((file) => isFile(join(path, file))))).every(Boolean)) return { kind, path };
    }
    if (await isFile(join(folder, kind.archive))) return { kind, path: join(folder, kind.archive) };
  }
  for (const path of [folder, join(folder, 'cifar-10-batches-py'), join(folder, 'cifar-100-python')]) {
    const has = async (...names: string[]) =>
      (await Promise.all(names.map((name) => isFile(join(path, name))))).every(Boolean);
    if (await has('data_batch_1', 'batches.meta')) foreign(path, CIFAR10);
    if (await has('train', 'test', 'meta')) foreign(path, CIFAR100);
  }
  return null;
}

const foreign = (path: string, { archive }: CifarKind): never =>
  fail(`cifar: ${path} is the version for Python (pickle) or MATLAB: take the binary one, ${archive}`);

/** The set that a tar archive holds, by its first file with a telling name; null where it is another. */
export async function findCifarIn(archive: string): Promise<Cifar | null> {
  return withSource(archive, async (source) => {
    for await (const { name } of tarEntries(source)) {
      const folder = name.replace(/^(\.\/)+/, '').split('/')[0];
      const kind = KINDS.find((k) => k.folder === folder);
      if (kind) return { kind, path: archive };
      if (FOREIGN.test(folder)) foreign(archive, folder.startsWith('cifar-100') ? CIFAR100 : CIFAR10);
      return null;
    }
    return null;
  });
}

/** All of it in memory (184 MB). `heldout` is how many of the last training images are kept back; `label` may be coarse for CIFAR-100. */
export async function cifarData({ kind, path }: Cifar, heldout?: number, label?: string): Promise<Data> {
  const which = label === undefined ? kind.labels.length - 1 : label === 'coarse' && kind === CIFAR100 ? 0 : -1;
  if (which < 0) fail(`${kind.name}: there is no label ${label}: leave #${label} out (cifar100 has #coarse)`);
  const names = [...kind.train, kind.test];
  const files = (await isFile(path)) ? await fromArchive(kind, path, names) : await fromFolder(kind, path, names);
  const of = (name: string, records: readonly Uint8Array[]) => dataset(kind, which, `${kind.name} ${name}`, records);
  const train = kind.train.flatMap((name) => files.get(name)!);
  return benchmarkSplit(of('train', train), of('test', files.get(kind.test)!), heldout);
}

function dataset(kind: CifarKind, which: number, name: string, records: readonly Uint8Array[]): Dataset {
  const first = kind.labels.length;
  const read = async (index: number): Promise<Sample> => {
    const record = records[index];
    const data = new Uint8Array(3 * PIXELS);
    for (let i = 0; i < PIXELS; i++) {
      data[3 * i] = record[first + i];
      data[3 * i + 1] = record[first + PIXELS + i];
      data[3 * i + 2] = record[first + 2 * PIXELS + i];
    }
    return { data, height: 32, width: 32, channels: 3, label: record[which] };
  };
  const { mean, std, labels } = kind;
  const label = (index: number): number => records[index][which];
  return { name, length: records.length, classes: labels[which], channels: 3, mean, std, read, label };
}

type Files = Map<string, Uint8Array[]>;

async function fromFolder(kind: CifarKind, folder: string, names: readonly string[]): Promise<Files> {
  const files: Files = new Map();
  for (const name of names) {
    const path = join(folder, name);
    const bytes = await readFile(path).catch((error) =>
      fail(
        `${kind.name}: ${path}: ${reasonOf(error, { absent: `all ${names.length} original binary files are needed` })}`,
      ),
    );
    files.set(name, recordsOf(kind, path, bytes));
  }
  return files;
}

async function fromArchive(kind: CifarKind, path: string, names: readonly string[]): Promise<Files> {
  const files: Files = new Map();
  await withSource(path, async (source) => {
    for await (const { name, size } of tarEntries(source)) {
      const file = basename(name);
      if (names.includes(file)) files.set(file, recordsOf(kind, `${path}: ${file}`, await wholly(source, size)));
    }
  });
  const missing = names.filter((name) => !files.has(name));
  if (missing.length)
    fail(`${kind.name}: ${path} has no ${missing.join(', ')}: it was cut, fetch ${kind.archive} again`);
  return files;
}

async function wholly(source: ByteSource, size: number): Promise<Uint8Array> {
  const bytes = await source.take(size);
  if (bytes.length < size) fail(`tar: ${source.path} ends ${size - bytes.length} bytes early: it was cut`);
  return bytes;
}

/** Views of one file's records. */
function recordsOf(kind: CifarKind, path: string, bytes: Uint8Array): Uint8Array[] {
  const size = recordBytes(kind);
  if (bytes.length === 0 || bytes.length % size)
    fail(`${kind.name}: ${path} has ${bytes.length} bytes, not a multiple of ${size}: is it the original binary file?`);
  return Array.from({ length: bytes.length / size }, (_, i) => {
    const record = bytes.subarray(i * size, (i + 1) * size);
    for (const [k, { length }] of kind.labels.entries()) {
      if (record[k] >= length)
        fail(
          `${kind.name}: ${path}: record ${i} has the label ${record[k]}, labels are 0 to ${length - 1}: it is damaged, or not ${kind.name}`,
        );
    }
    return record;
  });
}
