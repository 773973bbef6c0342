// The idx format of MNIST and its kin (Fashion-MNIST, EMNIST, KMNIST): big-endian sizes, then bytes; packed with gzip or not. Images have one channel.
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fail } from '../../../engine/errors.ts';
import type { Data } from '../open.ts';
import type { Dataset } from '../dataset.ts';
import { benchmarkSplit } from './benchmark.ts';
import { withSource } from './bytes.ts';
import { channelStatistics } from './statistics.ts';

/** `PREFIXtrain-images-idx3-ubyte`, `PREFIXt10k-labels.idx1-ubyte.gz`, … */
const FILE = /^(.*?)(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(?:\.gz)?$/;

const FASHION = 'T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot'.split(',');

/** Whether these first bytes begin an idx file of bytes. */
export const isIdx = (head: Uint8Array): boolean =>
  head.length >= 4 && head[0] === 0 && head[1] === 0 && head[2] === 8 && head[3] >= 1 && head[3] <= 4;

/** Sizes and bytes of one file. Fails with its name and the numbers that do not fit. */
function readIdx(path: string, dims: number): Promise<{ sizes: number[]; data: Uint8Array }> {
  return withSource(path, async (source) => {
    const magic = await source.take(4);
    if (magic.length < 4) fail(`idx: ${path} has ${magic.length} bytes: it is empty or cut, fetch it again`);
    if (magic[0] || magic[1] || magic[2] !== 8 || magic[3] !== dims) {
      const wanted = `0000080${dims} (bytes, ${dims} ${dims === 1 ? 'dimension' : 'dimensions'})`;
      fail(`idx: ${path} begins with ${magic.toString('hex')}, expected ${wanted}: it is damaged or another file`);
    }
    const head = await source.take(4 * dims);
    if (head.length < 4 * dims) fail(`idx: ${path} ends within its header of ${4 + 4 * dims} bytes: fetch it again`);
    const sizes = Array.from({ length: dims }, (_, i) => head.readUInt32BE(4 * i));
    const bytes = sizes.reduce((product, size) => product * size, 1);
    const short = (has: number): never =>
      fail(`idx: ${path} says ${sizes.join(' x ')} = ${bytes} bytes, it has ${has}: it is cut or damaged`);
    if (bytes > source.limit - source.position) short(source.limit - source.position);
    const data = await source.take(bytes);
    if (data.length < bytes) short(data.length);
    const more = await source.take(1);
    if (more.length) fail(`idx: ${path} goes on after its ${sizes.join(' x ')} = ${bytes} bytes: it is damaged`);
    return { sizes, data };
  });
}

interface Found {
  readonly folder: string;
  /** What the names of the files begin with: '', or `emnist-letters-`. */
  readonly prefix: string;
  readonly files: ReadonlyMap<string, string>;
}

/** idx files in a folder, or those that a file or the beginning of names (`FOLDER/emnist-letters`) belongs to; null where there are none. */
export async function findIdx(path: string): Promise<Found | null> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  const folder = isFolder ? path : dirname(path);
  const own = FILE.exec(basename(path));
  const asked = isFolder ? null : (own?.[1] ?? `${basename(path).replace(/-$/, '')}-`);
  const sets = new Map<string, Map<string, string>>();
  for (const name of await readdir(folder).catch(() => [] as string[])) {
    const match = FILE.exec(name);
    if (!match || (asked !== null && match[1] !== asked)) continue;
    const files = sets.get(match[1]) ?? new Map<string, string>();
    sets.set(match[1], files.set(`${match[2] === 'train' ? 'train' : 'test'}-${match[3]}`, name));
  }
  const prefixes = [...sets.keys()].sort();
  if (prefixes.length > 1)
    fail(`idx: ${path} holds ${prefixes.length} sets: give one of ${prefixes.map((p) => join(folder, p)).join(', ')}`);
  return prefixes.length ? { folder, prefix: prefixes[0], files: sets.get(prefixes[0])! } : null;
}

/** Train and test images with labels, all in memory. */
export async function idxData({ folder, prefix, files }: Found, heldout?: number): Promise<Data> {
  const load = async (split: 'train' | 'test') => {
    const [images, labels] = ['images', 'labels'].map((kind) => files.get(`${split}-${kind}`));
    if (!images) return null;
    if (!labels) fail(`idx: ${join(folder, images)} is there, its labels file is not: put ${split}'s labels beside it`);
    return readSet(join(folder, images), join(folder, labels));
  };
  const [train, test] = [await load('train'), await load('test')];
  if (!train) return fail(`idx: ${folder} has no ${prefix}train-images-idx3-ubyte: all four files are needed`);
  const codes = await mappingOf(folder, prefix);
  const most = Math.max(...[train, test].map((set) => set?.most ?? 0));
  // EMNIST stores columns as rows.
  const turned = /emnist-/.test(prefix);
  const named = basename(folder).toLowerCase();
  const known = /fashion/.test(named) && most === 9 ? FASHION : null;
  const classes = codes?.names ?? known ?? Array.from({ length: most + 1 }, (_, i) => String(i));
  const of = (name: string, set: Images): Dataset => {
    const pixels = set.height * set.width;
    const labelAt = (index: number): number => codes?.place.get(set.labels[index]) ?? set.labels[index];
    return {
      name: `${prefix ? prefix.replace(/-$/, '') : basename(folder)} ${name}`,
      length: set.labels.length,
      classes,
      channels: 1,
      mean: [],
      std: [],
      label: labelAt,
      read: async (index) => {
        const stored = set.data.subarray(index * pixels, (index + 1) * pixels);
        const label = labelAt(index);
        if (!turned) return { data: stored, height: set.height, width: set.width, channels: 1, label };
        return { data: transposed(stored, set), height: set.width, width: set.height, channels: 1, label };
      },
    };
  };
  for (const set of [train, test]) {
    const stray = codes && set?.labels.find((label) => !codes.place.has(label));
    if (stray !== undefined && stray !== null)
      fail(`idx: ${folder}: label ${stray} of ${prefix}'s images is not in ${prefix}mapping.txt`);
  }
  const trained = of('train', train);
  const look = await channelStatistics(trained, trained.length);
  return benchmarkSplit({ ...trained, ...look }, test && { ...of('test', test), ...look }, heldout);
}

interface Images {
  readonly data: Uint8Array;
  readonly labels: Uint8Array;
  readonly height: number;
  readonly width: number;
  /** Greatest label. */
  readonly most: number;
}

async function readSet(imagesPath: string, labelsPath: string): Promise<Images> {
  const { sizes, data } = await readIdx(imagesPath, 3);
  const [count, height, width] = sizes;
  const { data: labels } = await readIdx(labelsPath, 1);
  if (!(count * height * width)) fail(`idx: ${imagesPath} says ${sizes.join(' x ')}: it holds no pixels`);
  if (labels.length !== count)
    fail(`idx: ${labelsPath} has ${labels.length} labels, ${imagesPath} ${count} images: they are of different sets`);
  return { data, labels, height, width, most: labels.reduce((most, label) => Math.max(most, label), 0) };
}

function transposed(stored: Uint8Array, { height, width }: Images): Uint8Array {
  const data = new Uint8Array(stored.length);
  for (let i = 0; i < stored.length; i++) data[(i % width) * height + Math.floor(i / width)] = stored[i];
  return data;
}

/** EMNIST's `…mapping.txt`: a label and the codes of its characters on each line. null where there is none. */
async function mappingOf(folder: string, prefix: string) {
  const path = join(folder, `${prefix}mapping.txt`);
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const rows = lines.map((line) => line.trim().split(/\s+/).map(Number));
  const wrong = rows.findIndex((row) => row.length < 2 || row.some((n) => !(Number.isInteger(n) && n >= 0 && n < 256)));
  if (wrong >= 0) fail(`idx: ${path}: line ${wrong + 1} is not a label and codes of characters`);
  const place = new Map(rows.map((row, i) => [row[0], i]));
  return { place, names: rows.map((row) => String.fromCharCode(...row.slice(1))) };
}
