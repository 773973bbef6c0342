// Tensors of a file of any format, read one by one: a safetensors file, several of them by an index, or what PyTorch saves.
import { fail } from '../../engine/errors.ts';
import type { Dtype, RawTensor } from '../../engine/rawtensor.ts';
import { type ByteSource, readHeader, readTensor, type SafetensorsHeader } from '../../engine/safetensors.ts';
import { parseStrictJson } from '../../engine/strictjson.ts';
import { isPlainName, type Place, readSmall } from './place.ts';

export interface TensorFile {
  /** In words: `safetensors`, `PyTorch zip archive`, … */
  readonly container: string;
  readonly tensors: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>;
  /** Of safetensors: text by key. Of PyTorch's: what `args` says that is text, a number or a truth value. */
  readonly hints: ReadonlyMap<string, unknown>;
  /** What else there is and is not read: `optimizer`, `scaler`, … */
  readonly besides: readonly string[];
  /** @throws where there is no tensor of this name, or the file ends too early */
  read(name: string): Promise<RawTensor>;
}

export async function safetensorsFile(source: ByteSource, header?: SafetensorsHeader): Promise<TensorFile> {
  const { tensors, metadata } = header ?? (await readHeader(source));
  const read = (name: string): Promise<RawTensor> => {
    const info = tensors.get(name) ?? fail(`${source.name}: has no tensor ${name}`);
    return readTensor(source, info);
  };
  return { container: 'safetensors', tensors, hints: metadata, besides: [], read };
}

/** Indices are some 100 bytes a tensor. */
const MOST_INDEX_BYTES = 16 << 20;
const MOST_SHARDS = 1000;

/** The files that an index (`model.safetensors.index.json`) lists, as one; `load` reads each. */
export async function shardedFile(
  place: Place,
  index: ByteSource,
  load: (source: ByteSource) => Promise<TensorFile>,
): Promise<TensorFile> {
  const bytes = await readSmall(index, MOST_INDEX_BYTES);
  const parsed = named(index, () => parseStrictJson(bytes, 8));
  const map = isRecord(parsed) ? parsed.weight_map : null;
  if (!isRecord(map)) fail(`${index.name}: has no weight_map: is it an index of shards?`);
  const names = new Set(Object.values(map));
  if (names.size > MOST_SHARDS) fail(`${index.name}: lists ${names.size} files, ${MOST_SHARDS} at most are read`);
  const shards = new Map<unknown, TensorFile>();
  for (const name of names) {
    if (!isPlainName(name))
      fail(`${index.name}: ${JSON.stringify(name)?.slice(0, 100)} is no name of a file of the folder`);
    const source = (await place.open(name)) ?? fail(`${place.name}: lacks ${name}, which ${index.name} lists`);
    shards.set(name, await load(source));
  }
  const owner = new Map(Object.entries(map).map(([name, shard]) => [name, shards.get(shard) as TensorFile]));
  const tensors = new Map(
    [...owner].map(([name, shard]) => [
      name,
      shard.tensors.get(name) ??
        fail(`${index.name}: says that ${map[name]} has ${JSON.stringify(name.slice(0, 100))}, which it has not`),
    ]),
  );
  const read = (name: string): Promise<RawTensor> =>
    (owner.get(name) ?? fail(`${place.name}: has no tensor ${name}`)).read(name);
  const container = `${[...shards.values()][0]?.container ?? 'files'} in ${names.size} shards`;
  return { container, tensors, hints: new Map(), besides: [], read };
}

/** Names are printed, and a stranger's could hold anything. */
export function refuseOdd(name: string): void {
  if (!/^[\x21-\x7e]{1,200}$/.test(name)) fail(`has a tensor of the name ${JSON.stringify(name.slice(0, 80))}`);
}

/** Puts the file's name into what `work` says is wrong. */
export function named<T>(source: Pick<ByteSource, 'name'>, work: () => T): T {
  try {
    return work();
  } catch (error) {
    return fail(`${source.name}: ${(error as Error).message}`);
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
