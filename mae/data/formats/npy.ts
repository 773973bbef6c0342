// numpy's .npy files (format 1 to 3) as sets of images, for any number of channels: (N, H, W), (N, H, W, C) or (N, C, H, W) of u8, u16, f32 or f64 in either byte
// order. The training pipeline takes bytes. u8 goes through as it is; other types are mapped linearly onto 0 to 255, for each channel from the least to the
// greatest value in a sample of the training images. That rounds by at most 1/510 of the channel's range and clips what lies outside it.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fail } from '../../../engine/errors.ts';
import { reasonOf } from '../../../engine/node/file-errors.ts';
import { DamagedImage } from '../damage.ts';
import type { Dataset, Sample } from '../dataset.ts';
import type { Data } from '../open.ts';
import { headOf, readAt } from './bytes.ts';
import { channelStatistics } from './statistics.ts';
import { splitOf } from './splits.ts';

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
export const isNpy = (head: Uint8Array): boolean => MAGIC.every((byte, i) => head[i] === byte);

/** A header may have so many bytes; numpy's own are below 1,000. */
const MOST_HEADER = 65_536;
const TYPES = { u1: 1, i1: 1, u2: 2, i2: 2, u4: 4, i4: 4, i8: 8, u8: 8, f4: 4, f8: 8 } as const;
type Type = keyof typeof TYPES;
const PIXELS: readonly Type[] = ['u1', 'u2', 'f4', 'f8'];
const LABELS: readonly Type[] = ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'i8', 'u8'];

interface Npy {
  readonly path: string;
  readonly type: Type;
  readonly little: boolean;
  readonly shape: readonly number[];
  /** Byte at which the values begin. */
  readonly offset: number;
}

/** The header, checked against the file's size. */
export async function npyHeader(path: string): Promise<Npy> {
  const { size } = await stat(path).catch((error) => fail(`npy: ${path}: ${reasonOf(error)}`));
  const head = await headOf(path, 12);
  if (head.length < 12 || !isNpy(head))
    fail(`npy: ${path} of ${size} bytes does not begin as a .npy file: it is damaged or another kind of file`);
  const version = head[6];
  if (version < 1 || version > 3)
    fail(`npy: ${path} is of format ${version}.${head[7]}, 1 to 3 are known: save it anew`);
  const from = version === 1 ? 10 : 12;
  const length = version === 1 ? head.readUInt16LE(8) : head.readUInt32LE(8);
  const offset = from + length;
  if (length > MOST_HEADER || offset > size)
    fail(`npy: ${path} says that its header has ${length} bytes, the file has ${size}: it is cut or damaged`);
  const text = (await readAt(path, from, length)).toString('latin1');
  const descr = /'descr'\s*:\s*'([<>|=])([a-zA-Z]\d+)'/.exec(text);
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text);
  const sizes = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(text);
  if (!order || !sizes || !/'descr'/.test(text)) fail(`npy: ${path} has a header that cannot be read: it is damaged`);
  if (!descr || !Object.hasOwn(TYPES, descr[2])) {
    const given = /'descr'\s*:\s*(.*?)\s*,\s*'(?:fortran_order|shape)/.exec(text)?.[1].slice(0, 60) ?? 'none';
    fail(`npy: ${path} holds values of type ${given}: save it as uint8, uint16, float32 or float64`);
  }
  if (order[1] === 'True')
    fail(`npy: ${path} is in Fortran order: save numpy.ascontiguousarray(array), whose last axis lies together`);
  const shape = sizes[1].split(',').flatMap((part) => (part.trim() ? [Number(part)] : []));
  const type = descr[2] as Type;
  const bytes = shape.reduce((product, n) => product * n, TYPES[type]);
  if (bytes !== size - offset)
    fail(
      `npy: ${path}: shape (${shape.join(', ')}) of ${type} is ${bytes} bytes, it has ${size - offset}: it is cut or damaged`,
    );
  return { path, type, little: descr[1] !== '>', shape, offset };
}

/** Reads values out of bytes, by index. */
function getter(type: Type, little: boolean, bytes: Buffer): (index: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const width = TYPES[type];
  const at = {
    u1: (i: number) => view.getUint8(i),
    i1: (i: number) => view.getInt8(i),
    u2: (i: number) => view.getUint16(i, little),
    i2: (i: number) => view.getInt16(i, little),
    u4: (i: number) => view.getUint32(i, little),
    i4: (i: number) => view.getInt32(i, little),
    u8: (i: number) => Number(view.getBigUint64(i, little)),
    i8: (i: number) => Number(view.getBigInt64(i, little)),
    f4: (i: number) => view.getFloat32(i, little),
    f8: (i: number) => view.getFloat64(i, little),
  }[type];
  return (index) => at(index * width);
}

interface Images {
  readonly npy: Npy;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly channelsFirst: boolean;
}

function imagesOf(npy: Npy): Images {
  const { path, type, shape } = npy;
  const text = `(${shape.join(', ')})`;
  if (!PIXELS.includes(type)) fail(`npy: ${path} holds ${type}: images are uint8, uint16, float32 or float64`);
  if (shape.length < 3 || shape.length > 4)
    fail(`npy: ${path} has shape ${text}: images are (N, H, W), (N, H, W, C) or (N, C, H, W)`);
  if (shape.includes(0)) fail(`npy: ${path} has shape ${text}: it holds no pixels`);
  const [count, a, b, c] = shape;
  if (shape.length === 3) return { npy, count, height: a, width: b, channels: 1, channelsFirst: false };
  // Of the second and the last axis the channels are the shorter.
  if (a === c)
    fail(`npy: ${path} has shape ${text}: which axis is the channels? Save it as (N, H, W, C) with C below H`);
  const channelsFirst = a < c;
  const [channels, height, width] = channelsFirst ? [a, b, c] : [c, a, b];
  return { npy, count, height, width, channels, channelsFirst };
}

/** Values of one image in the order (height, width, channels). */
async function valuesOf(images: Images, index: number): Promise<{ length: number; get(i: number): number }> {
  const { npy, height, width, channels, channelsFirst } = images;
  const length = height * width * channels;
  const bytes = TYPES[npy.type] * length;
  const get = getter(npy.type, npy.little, await readAt(npy.path, npy.offset + index * bytes, bytes));
  const area = height * width;
  return { length, get: channelsFirst ? (i) => get((i % channels) * area + Math.floor(i / channels)) : get };
}

interface Range {
  readonly low: number;
  readonly high: number;
}

/** Images that ranges are taken from. */
const LOOKED_AT = 512;

/** Least and greatest finite value of each channel, over images taken evenly. */
async function rangesOf(images: Images): Promise<Range[] | null> {
  if (images.npy.type === 'u1') return null;
  const { channels, count } = images;
  const low = new Array(channels).fill(Number.POSITIVE_INFINITY);
  const high = new Array(channels).fill(Number.NEGATIVE_INFINITY);
  const looked = Math.min(count, LOOKED_AT);
  for (let k = 0; k < looked; k++) {
    const { length, get } = await valuesOf(images, Math.floor((k * count) / looked));
    for (let i = 0; i < length; i++) {
      const value = get(i);
      if (!Number.isFinite(value)) continue;
      low[i % channels] = Math.min(low[i % channels], value);
      high[i % channels] = Math.max(high[i % channels], value);
    }
  }
  const empty = low.indexOf(Number.POSITIVE_INFINITY);
  if (empty >= 0) fail(`npy: ${images.npy.path}: channel ${empty} has no finite value in ${looked} images`);
  return low.map((from, c) => ({ low: from, high: high[c] }));
}

function dataset(name: string, images: Images, labels: Int32Array | null, ranges: Range[] | null): Dataset {
  const { npy, count, height, width, channels } = images;
  const label = (index: number): number => (labels ? labels[index] : -1);
  const read = async (index: number): Promise<Sample> => {
    const { length, get } = await valuesOf(images, index);
    const data = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      const value = get(i);
      if (!ranges) {
        data[i] = value;
        continue;
      }
      const { low, high } = ranges[i % channels];
      if (Number.isNaN(value)) throw new DamagedImage(`${npy.path}: image ${index}`, `NaN in channel ${i % channels}`);
      data[i] = high > low ? Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low)))) : 0;
    }
    return { data, height, width, channels, label: label(index) };
  };
  return { name, length: count, classes: null, channels, mean: [], std: [], read, label };
}

async function labelsFor(images: Npy, path: string): Promise<Int32Array> {
  const npy = await npyHeader(path);
  const [count] = images.shape;
  const text = `(${npy.shape.join(', ')})`;
  if (npy.shape.length > 2 || npy.shape[0] !== count || (npy.shape[1] ?? 1) !== 1 || !LABELS.includes(npy.type))
    fail(`npy: ${path} is ${text} of ${npy.type}, labels of ${images.path} are whole numbers of shape (${count})`);
  const get = getter(npy.type, npy.little, await readAt(path, npy.offset, TYPES[npy.type] * count));
  return Int32Array.from({ length: count }, (_, i) => {
    const label = get(i);
    if (!(label >= -1 && label < 2 ** 20)) fail(`npy: ${path}: label ${i} is ${label}, labels are 0 to ${2 ** 20 - 1}`);
    return label;
  });
}

interface Found {
  readonly images: string;
  readonly labels: string | null;
}
type NpyFiles = Partial<Record<'train' | 'val' | 'test', Found>>;

const LABEL_FILE = /(^|[-_.])(labels?|targets?|y)([-_.]|$)/;

/**
 * One file with `labels.npy` or `NAME_labels.npy` beside it; or a folder of `train.npy`, `val.npy`, `test.npy` (or with `_images`) with
 * `train_labels.npy` and so on, or of one file of images. null where there is none.
 */
export async function findNpy(path: string): Promise<NpyFiles | null> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false;
  const folder = isFolder ? path : dirname(path);
  const all = (await readdir(folder).catch(() => [] as string[])).filter((name) => name.endsWith('.npy')).sort();
  const labels = all.filter((name) => LABEL_FILE.test(name.slice(0, -4)));
  const images = isFolder ? all.filter((name) => !labels.includes(name)) : [basename(path)];
  const stem = (name: string): string => name.replace(/\.npy$/, '').replace(/[-_.]?(images?|data|x)$/, '');
  const labelsOf = (name: string): string | null => {
    const own = labels.find((label) => {
      const [before] = label.split(/[-_.]?(?:labels?|targets?)[-_.]?/);
      return before !== '' && before === stem(name);
    });
    const common = images.length === 1 ? labels.find((label) => /^(labels?|targets?)\.npy$/.test(label)) : undefined;
    const found = own ?? common;
    return found === undefined ? null : join(folder, found);
  };
  if (!images.length) return null;
  if (images.length === 1) return { train: { images: join(folder, images[0]), labels: labelsOf(images[0]) } };
  const files: NpyFiles = {};
  for (const name of images) {
    const split = splitOf(name);
    if (!split || files[split])
      fail(`npy: ${folder} has ${images.join(', ')}: name them train.npy, val.npy and test.npy, or give one of them`);
    files[split] = { images: join(folder, name), labels: labelsOf(name) };
  }
  return files;
}

/** Images are read one by one from the file; ranges, mean and deviation are those of the training images. */
export async function npyData(files: NpyFiles): Promise<Data> {
  const { train, val, test } = files;
  if (!train)
    return fail(`npy: there is no train.npy beside ${val?.images ?? test?.images}: give it, or one file alone`);
  const first = imagesOf(await npyHeader(train.images));
  const ranges = await rangesOf(first);
  const opened = async ({ images, labels }: Found) => {
    const array = imagesOf(await npyHeader(images));
    if (array.channels !== first.channels)
      fail(`npy: ${images} has ${array.channels} channels, ${train.images} ${first.channels}: they must have the same`);
    const given = labels === null ? null : await labelsFor(array.npy, labels);
    return { set: dataset(basename(images), array, given, ranges), given };
  };
  const sets = { train: await opened(train), val: val && (await opened(val)), test: test && (await opened(test)) };
  const look = await channelStatistics(sets.train.set);
  const most = Math.max(-1, ...Object.values(sets).map((s) => s?.given?.reduce((m, l) => Math.max(m, l), -1) ?? -1));
  const classes = most >= 0 ? Array.from({ length: most + 1 }, (_, i) => String(i)) : null;
  const done = (set: Dataset): Dataset => ({ ...set, ...look, classes });
  return {
    train: done(sets.train.set),
    heldout: sets.val ? done(sets.val.set) : null,
    test: sets.test ? done(sets.test.set) : null,
  };
}
