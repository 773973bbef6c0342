// Parquet files as Hugging Face keeps image sets: a column of images (a struct with `bytes`, or bytes) and one of labels. Labels are read at once, images by
// row groups, which are kept as long as they fit: reading in random order is fast for sets below CACHE and reads whole groups over and over beyond it.
import type { AsyncBuffer } from 'hyparquet';
import { stat } from 'node:fs/promises';
import { fail, TesseraeError } from '../../../engine/errors.ts';
import { DamagedImage } from '../damage.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD } from '../dataset.ts';
import { decoding } from '../encoded.ts';
import type { Data } from '../open.ts';
import { readAt, withFile } from './bytes.ts';
import { checkPages } from './parquet-pages.ts';
import { type Columns, columnsOf, type Group, groupsOf, levelBits, narrowed, placeOf } from './parquet-schema.ts';
import { bySplit, filesWithin } from './splits.ts';

export const isParquet = (head: Uint8Array): boolean => Buffer.from(head.subarray(0, 4)).toString('latin1') === 'PAR1';

/** Bytes of row groups that are kept in memory, of all files of a set together. */
const CACHE = 2 ** 28;

/** The library, loaded when a parquet file is first opened. */
const load = () =>
  Promise.all([import('hyparquet'), import('hyparquet-compressors')]).then(
    ([{ parquetMetadataAsync, parquetRead }, { compressors }]) => ({ parquetMetadataAsync, parquetRead, compressors }),
    (error: Error) =>
      fail(`parquet needs its packages: npm install hyparquet hyparquet-compressors (${error.message.split('\n')[0]})`),
  );

interface Opened {
  readonly path: string;
  readonly rows: number;
  readonly columns: Columns;
  readonly groups: readonly Group[];
  /** Values of a column, named by its path in the schema, in the row group of this number. */
  column(leaf: readonly string[], group: number): Promise<readonly unknown[]>;
}

/** A file, or a folder of files whose names or folders tell the split. `label` names the label's column where there are several. */
export async function parquetData(path: string, label?: string): Promise<Data> {
  const folder = (await stat(path).catch(() => null))?.isDirectory();
  const files = folder ? bySplit(path, await filesWithin(path, '.parquet')) : { train: [path], val: [], test: [] };
  const cache = groupCache();
  const open = async (name: string, paths: readonly string[]) => {
    const opened: { file: Opened; labels: Int32Array | null }[] = [];
    for (const each of paths) {
      const file = await openParquet(each, label);
      opened.push({ file, labels: await labelsOf(file) });
    }
    return setOf(`${name} of ${path}`, opened, cache);
  };
  const train = await open('train', files.train);
  const val = files.val.length ? await open('val', files.val) : null;
  const test = files.test.length ? await open('test', files.test) : null;
  const most = Math.max(train.most, val?.most ?? -1, test?.most ?? -1);
  const numbered = most < 0 ? null : Array.from({ length: most + 1 }, (_, i) => String(i));
  const { names } = train;
  if (names && most >= names.length)
    fail(`parquet: ${path} has the label ${most} and ${names.length} names of classes: it is damaged`);
  const done = ({ set }: { set: Dataset }): Dataset => ({ ...set, classes: names ?? numbered });
  return { train: done(train), heldout: val && done(val), test: test && done(test) };
}

/** What a file cannot be read for, as one line that names it; the library's own errors are of many kinds. */
async function told<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TesseraeError) throw error;
    const why = (error as Error).message.replace(/\s+/g, ' ').slice(0, 160);
    return fail(`parquet: ${path} cannot be read (${why}): it is cut or damaged, fetch it again`);
  }
}

async function openParquet(path: string, label: string | undefined): Promise<Opened> {
  const { parquetMetadataAsync, parquetRead, compressors } = await load();
  const size = await withFile(path, async (_, bytes) => bytes);
  if (size < 12) fail(`parquet: ${path} has ${size} bytes: it is empty or cut, fetch it again`);
  const slice = async (start: number, end = size): Promise<ArrayBuffer> => {
    const { buffer, byteOffset, byteLength } = await readAt(path, start, end - start);
    return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  };
  const file: AsyncBuffer = { byteLength: size, slice };
  const metadata = await told(path, () => parquetMetadataAsync(file, { geoparquet: false }));
  const columns = await told(path, async () => columnsOf(path, metadata, label));
  const groups = await told(path, async () => groupsOf(path, metadata, size, columns));
  const column = (leaf: readonly string[], g: number): Promise<readonly unknown[]> =>
    told(path, async () => {
      const one = narrowed(metadata, leaf, g);
      const { start, length } = placeOf(one.row_groups[0].columns[0]);
      const chunk = await slice(start, start + length);
      const { rows } = groups[g];
      const where = `parquet: ${path}: column ${leaf.join('.')}`;
      const codec = one.row_groups[0].columns[0].meta_data!.codec;
      await checkPages({ where, bytes: chunk, start, rows, levelBits: levelBits(one.schema), codec }, compressors);
      const read: unknown[] = [];
      await parquetRead({
        file: { byteLength: size, slice: (from, to = size) => chunk.slice(from - start, to - start) },
        metadata: one,
        compressors,
        utf8: false,
        geoparquet: false,
        onComplete: (all) => {
          for (const [value] of all) read.push(value);
        },
      });
      if (read.length !== rows)
        fail(
          `parquet: ${path}: row group ${g} gives ${read.length} of ${rows} rows of ${leaf.join('.')}: it is damaged`,
        );
      return read;
    });
  return { path, rows: groups.reduce((sum, { rows }) => sum + rows, 0), columns, groups, column };
}

/** Labels of all rows; null where the file has none. */
async function labelsOf({ path, groups, columns, column }: Opened): Promise<Int32Array | null> {
  if (columns.label === null) return null;
  const values: unknown[] = [];
  for (const g of groups.keys()) for (const value of await column([columns.label], g)) values.push(value);
  return Int32Array.from(values, (value, i) => {
    const label = value === null || value === undefined ? -1 : Number(value);
    // -1 stands for no label in test sets whose labels are kept secret.
    if (!(Number.isInteger(label) && label >= -1 && label < 2 ** 20))
      fail(`parquet: ${path}: row ${i} has the label ${String(value).slice(0, 40)}: labels are whole numbers from 0`);
    return label;
  });
}

type Cache = ReturnType<typeof groupCache>;

/** The row groups used last, by a key, up to CACHE bytes; what is being read is read once. */
function groupCache() {
  const kept = new Map<string, { bytes: number; values: Promise<readonly unknown[]> }>();
  let sum = 0;
  return (key: string, bytes: number, read: () => Promise<readonly unknown[]>): Promise<readonly unknown[]> => {
    const found = kept.get(key);
    if (found) {
      kept.delete(key);
      kept.set(key, found);
      return found.values;
    }
    const values = read();
    kept.set(key, { bytes, values });
    values.catch(() => {
      if (kept.delete(key)) sum -= bytes;
    });
    sum += bytes;
    for (const [oldest, { bytes: freed }] of kept) {
      if (sum <= CACHE || oldest === key) break;
      kept.delete(oldest);
      sum -= freed;
    }
    return values;
  };
}

function setOf(name: string, files: readonly { file: Opened; labels: Int32Array | null }[], cache: Cache) {
  const groups = files.flatMap(({ file, labels }) =>
    file.groups.map((group, number) => ({ file, labels, group, number })),
  );
  const ends: number[] = [];
  for (const { group } of groups) ends.push((ends.at(-1) ?? 0) + group.rows);
  /** The group of a row, and its place in the file's. */
  const placeOfRow = (index: number) => {
    const g = firstAbove(ends, index);
    return { ...groups[g], inGroup: index - (ends[g] - groups[g].group.rows) };
  };
  const label = (index: number): number => {
    const { labels, group, inGroup } = placeOfRow(index);
    return labels ? labels[group.first + inGroup] : -1;
  };
  const locate = async (index: number) => {
    const { file, group, number, inGroup } = placeOfRow(index);
    const { image, struct } = file.columns;
    const leaf = struct ? [image, 'bytes'] : [image];
    const values = await cache(`${file.path} ${number}`, group.bytes, () => file.column(leaf, number));
    const value = struct ? (values[inGroup] as { bytes?: unknown } | null)?.bytes : values[inGroup];
    const where = `${file.path}: row ${group.first + inGroup}`;
    if (!(value instanceof Uint8Array)) throw new DamagedImage(where, 'it has no bytes');
    return { name: where, source: value, label: label(index) };
  };
  const length = ends.at(-1) ?? 0;
  const most = files.reduce((m, { labels }) => labels?.reduce((a, b) => Math.max(a, b), m) ?? m, -1);
  const look = { mean: IMAGENET_MEAN, std: IMAGENET_STD };
  const set: Dataset = { name, length, classes: null, channels: 3, ...look, read: decoding(locate), label };
  return { set, most, names: files[0].file.columns.names };
}

/** The first place whose number is above `value`, in ascending numbers. */
function firstAbove(ends: readonly number[], value: number): number {
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
