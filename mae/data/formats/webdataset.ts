// WebDataset: samples in tar shards, the files of one key side by side: an image by its extension, its class in `.cls` (a number) or in `label` of
// `.json`. Where each image lies is found out once and kept in the cache, so that samples can be read in any order.
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { basename, join, posix } from 'node:path';
import { fail } from '../../../engine/errors.ts';
import { reasonOf } from '../../../engine/node/file-errors.ts';
import { writeFileAtomic } from '../../../engine/node/files.ts';
import { cacheDir } from '../cache.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD } from '../dataset.ts';
import { decoding } from '../encoded.ts';
import type { FetchProgress } from '../fetch.ts';
import { isImage } from '../folder-files.ts';
import type { Data } from '../open.ts';
import { type ByteSource, withSource } from './bytes.ts';
import { bySplit, expandBraces, filesWithin } from './splits.ts';
import { tarEntries } from './tar.ts';

type Label = number | string | null;
/** Where an image's bytes lie in its shard, its class, its key. */
type Entry = readonly [offset: number, size: number, label: Label, key: string];

/** A `.cls` or `.json` file may have so many bytes. */
const MOST_NOTE = 2 ** 20;
/** Raised when an index would come out differently. */
const VERSION = 1;

/** Shards of a folder (with splits told from their names or folders), of one file, or of a pattern as `shard-{000..009}.tar`. */
export async function webDataset(path: string, progress: FetchProgress = () => {}): Promise<Data> {
  const folder = (await stat(path).catch(() => null))?.isDirectory();
  const shards = folder
    ? bySplit(path, await filesWithin(path, '.tar'))
    : { train: expandBraces(path), val: [], test: [] };
  const all = [...shards.train, ...shards.val, ...shards.test];
  const indexes = new Map<string, readonly Entry[]>();
  for (const [i, shard] of all.entries()) {
    progress(i / all.length, `looking through ${basename(shard)}`);
    indexes.set(shard, await indexOf(shard));
  }
  const classes = classesOf(path, [...indexes.values()].flat());
  const places = classes?.named ? new Map(classes.names.map((name, i) => [name, i])) : null;
  const set = (name: string, files: readonly string[]): Dataset => {
    const samples = files.flatMap((shard) => indexes.get(shard)!.map((entry) => ({ shard, entry })));
    if (!samples.length) fail(`webdataset: ${files.join(', ')}: no sample has an image (.jpg, .jpeg, .png, .webp)`);
    const labelAt = (index: number): number => {
      const [, , label] = samples[index].entry;
      return label === null ? -1 : places ? places.get(label as string)! : (label as number);
    };
    return {
      name: `${name} of ${path}`,
      length: samples.length,
      classes: classes?.names ?? null,
      remarks: classes ? [] : foldersOf(path, samples),
      channels: 3,
      mean: IMAGENET_MEAN,
      std: IMAGENET_STD,
      label: labelAt,
      id: (index) => `${basename(samples[index].shard)}/${samples[index].entry[3]}`,
      read: decoding(async (index) => {
        const { shard, entry } = samples[index];
        const [offset, size, , key] = entry;
        return { name: `${shard}: ${key}`, source: { path: shard, offset, size }, label: labelAt(index) };
      }),
    };
  };
  const { train, val, test } = shards;
  return {
    train: set('train', train),
    heldout: val.length ? set('val', val) : null,
    test: test.length ? set('test', test) : null,
  };
}

/** Whoever packs a folder of classes expects them back. */
function foldersOf(path: string, samples: readonly { entry: Entry }[]): string[] {
  const folders = new Set(samples.map(({ entry: [, , , key] }) => posix.dirname(key)));
  if (folders.size < 2) return [];
  return [
    `${path}: ${folders.size} folders within are no classes: these come from .cls or .json beside each image; or unpack it and give the folder`,
  ];
}

/** Numbers stand for themselves, names are sorted. All samples have a class, or none. */
function classesOf(path: string, entries: readonly Entry[]): { names: readonly string[]; named: boolean } | null {
  const bare = entries.find(([, , label]) => label === null);
  const labelled = entries.find(([, , label]) => label !== null);
  if (!labelled) return null;
  if (bare) fail(`webdataset: ${path}: sample ${bare[3]} has no class, ${labelled[3]} has: give all one, or none`);
  const kinds = new Set(entries.map(([, , label]) => typeof label));
  if (kinds.size > 1) fail(`webdataset: ${path}: some classes are numbers, others are names: give all of one kind`);
  if (kinds.has('string'))
    return { names: [...new Set(entries.map(([, , label]) => label as string))].sort(), named: true };
  const most = entries.reduce((greatest, [, , label]) => Math.max(greatest, label as number), 0);
  return { names: Array.from({ length: most + 1 }, (_, i) => String(i)), named: false };
}

/** From the cache where the shard is as it was. */
async function indexOf(shard: string): Promise<readonly Entry[]> {
  const found = await stat(shard).catch((error) =>
    fail(`webdataset: ${shard}: ${reasonOf(error, { absent: 'check that all shards are there' })}`),
  );
  const key = createHash('sha256')
    .update(JSON.stringify([VERSION, shard, found.size, found.mtimeMs]))
    .digest('hex');
  const folder = join(cacheDir(), 'shards');
  const path = join(folder, `${key.slice(0, 32)}.json`);
  const kept = await readFile(path, 'utf8')
    .then(JSON.parse)
    .catch(() => null);
  if (isIndex(kept, found.size)) return kept;
  const index = await withSource(shard, scan);
  // A cache that cannot be written costs the next start some time, nothing else.
  await mkdir(folder, { recursive: true })
    .then(() => writeFileAtomic(path, Buffer.from(JSON.stringify(index))))
    .catch(() => {});
  return index;
}

function isIndex(value: unknown, size: number): value is Entry[] {
  return (
    Array.isArray(value) &&
    value.every(
      (e) =>
        Array.isArray(e) &&
        Number.isInteger(e[0]) &&
        Number.isInteger(e[1]) &&
        e[0] >= 0 &&
        e[1] >= 0 &&
        e[0] + e[1] <= size &&
        (e[2] === null || typeof e[2] === 'string' || (Number.isInteger(e[2]) && e[2] >= 0)) &&
        typeof e[3] === 'string',
    )
  );
}

/** All that a key's files say, one key after the other. */
async function scan(source: ByteSource): Promise<Entry[]> {
  const entries: Entry[] = [];
  let now: { key: string; image: readonly [number, number] | null; label: Label } = {
    key: '',
    image: null,
    label: null,
  };
  const close = (): void => {
    if (now.image) entries.push([...now.image, now.label, now.key]);
  };
  for await (const { name, size, offset } of tarEntries(source)) {
    // The key ends at the first dot of the file's own name; what begins with one is no sample.
    const [, key, extension] = /^((?:.*\/)?[^./][^/.]*)\.([^/]*)$/.exec(name) ?? [];
    if (key === undefined) continue;
    if (now.key !== key) {
      close();
      now = { key, image: null, label: null };
    }
    const kind = extension.toLowerCase();
    if (!kind.includes('.') && isImage(`image.${kind}`)) now.image ??= [offset, size];
    else if (kind === 'cls' || kind === 'json') now.label = (await labelIn(source, kind, name, size)) ?? now.label;
  }
  close();
  return entries;
}

async function labelIn(source: ByteSource, kind: string, name: string, size: number): Promise<Label> {
  const where = `webdataset: ${source.path}: ${name}`;
  if (size > MOST_NOTE) fail(`${where} has ${size} bytes, ${MOST_NOTE} are allowed`);
  const text = (await source.take(size)).toString('utf8').trim();
  if (kind === 'cls') return classNumber(where, text, /^\d+$/.test(text) ? Number(text) : Number.NaN);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail(`${where} is not JSON: it is damaged`);
  }
  const label =
    typeof value === 'object' && value !== null && Object.hasOwn(value, 'label')
      ? (value as { label: unknown }).label
      : null;
  if (label === null || typeof label === 'string') return label;
  return classNumber(where, JSON.stringify(label), typeof label === 'number' ? label : Number.NaN);
}

/** Classes are few: a number in the millions is damage, or no class. */
const MOST_CLASSES = 2 ** 20;

function classNumber(where: string, text: string, label: number): number {
  if (Number.isInteger(label) && label >= 0 && label < MOST_CLASSES) return label;
  return fail(`${where} has the class ${text.slice(0, 40)}: it must be a whole number from 0 to ${MOST_CLASSES - 1}`);
}
