// Reading safetensors files, as hostile input: an 8-byte header length, a JSON header, then the tensors' bytes.
import { checksum } from './checksum.ts';
import type { Dtype, RawTensor } from './rawtensor.ts';
import {
  bytesOf,
  CHECKSUMS,
  headerChecksum,
  MAX_HEADER_BYTES,
  METADATA,
  quote,
  refuse,
  SafetensorsError,
  type TensorInfo,
} from './safetensors-format.ts';
import { parseStrictJson } from './strictjson.ts';

/** What to do about a damaged file. */
const AGAIN = 'download or copy the file again, or use an earlier checkpoint';

type FoundTensor = TensorInfo & { checksum?: string };

/** Tensors in the order of their bytes; metadata without the checksums. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A parsed file: tensors by name, and its metadata. */
export interface Safetensors {
  readonly tensors: ReadonlyMap<string, RawTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Random access to a file of `size` bytes. `read` gives fewer than `length` bytes only where the file ends. */
export interface ByteSource {
  /** For messages: the path or address. */
  readonly name?: string;
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

interface ReadOptions {
  /** Refuse a file without checksums: for our own checkpoints, where damage could otherwise hide them. */
  readonly requireChecksums?: boolean;
}

/**
 * Reads a whole file. Tensors share memory with `file`. Checksums are verified where there are any.
 * @throws SafetensorsError
 */
export function parseSafetensors(file: Uint8Array | ArrayBuffer, options: ReadOptions = {}): Safetensors {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  const length = headerLength(bytes.subarray(0, 8), bytes.length);
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.length, options);
  const tensors = new Map<string, RawTensor>();
  for (const info of header.tensors.values())
    tensors.set(info.name, verified(info, bytes.subarray(info.offset, info.offset + info.bytes)));
  return { tensors, metadata: header.metadata };
}

/**
 * Reads and checks the header alone; `readTensor` then reads the tensors that are wanted.
 * @throws SafetensorsError
 */
export function readHeader(source: ByteSource, options: ReadOptions = {}): Promise<SafetensorsHeader> {
  return naming(source, async () => {
    const length = headerLength(await source.read(0, 8), source.size);
    return parseHeader(await readWhole(source, 8, length), source.size, options);
  });
}

/**
 * Reads one tensor and verifies its checksum if it has one.
 * @throws SafetensorsError
 */
export function readTensor(source: ByteSource, info: TensorInfo): Promise<RawTensor> {
  return naming(source, async () => verified(info, await readWhole(source, info.offset, info.bytes)));
}

function headerLength(first: Uint8Array, size: number): number {
  if (first.length < 8) refuse(`${size} bytes are no safetensors file: it begins with an 8-byte header length`);
  const view = new DataView(first.buffer, first.byteOffset, 8);
  // Exact below 2^53, and far over the cap above.
  const length = view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  if (length > MAX_HEADER_BYTES)
    refuse(`header length ${length} is over the cap of ${MAX_HEADER_BYTES} bytes: is it a safetensors file?`);
  if (8 + length > size) refuse(`header length ${length} passes the end of the file of ${size} bytes: ${AGAIN}`);
  return length;
}

/** `json` is the header's text, `size` that of the whole file. */
function parseHeader(json: Uint8Array, size: number, options: ReadOptions): SafetensorsHeader {
  const entries = parseJson(json);
  const texts = entries.get(METADATA) ?? {};
  entries.delete(METADATA);
  const metadata = new Map<string, string>();
  if (!isRecord(texts)) refuse(`${METADATA} must be an object of strings`);
  for (const [key, value] of Object.entries(texts)) {
    if (typeof value !== 'string') refuse(`metadata ${quote(key)} must be a string, got ${typeof value}`);
    metadata.set(key, value);
  }
  const dataStart = 8 + json.length;
  const infos = Array.from(entries)
    .map(([name, entry]) => tensorInfo(name, entry, dataStart))
    .sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const info of infos) {
    if (info.offset > end) refuse(`a hole of ${info.offset - end} bytes before tensor ${quote(info.name)}: ${AGAIN}`);
    if (info.offset < end)
      refuse(`tensor ${quote(info.name)} overlaps the one before by ${end - info.offset} bytes: ${AGAIN}`);
    end += info.bytes;
  }
  if (end > size) refuse(`tensor data ends at byte ${end}, the file has ${size}: ${AGAIN}`);
  if (end < size) refuse(`${size - end} bytes follow the last tensor, which ends at byte ${end}: ${AGAIN}`);
  takeChecksums(metadata, infos, options);
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata };
}

function tensorInfo(name: string, entry: unknown, dataStart: number): FoundTensor {
  if (!isRecord(entry)) refuse(`tensor ${quote(name)} must be an object with dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = entry;
  const bytes = bytesOf(name, dtype, shape);
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? offsets : [];
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin <= end))
    refuse(`tensor ${quote(name)}: data_offsets ${quote(offsets)} must be a begin and an end`);
  if (end - begin !== bytes)
    refuse(`tensor ${quote(name)}: ${dtype} ${quote(shape)} needs ${bytes} bytes, data_offsets span ${end - begin}`);
  return { name, dtype: dtype as Dtype, shape: shape as number[], offset: dataStart + begin, bytes };
}

/** Moves the checksums from the metadata to the tensors and verifies the header's. */
function takeChecksums(
  metadata: Map<string, string>,
  infos: readonly FoundTensor[],
  { requireChecksums = false }: ReadOptions,
): void {
  const text = metadata.get(CHECKSUMS);
  if (text === undefined) {
    if (requireChecksums) refuse(`the header has no ${quote(CHECKSUMS)}, which a checkpoint must have: ${AGAIN}`);
    return;
  }
  metadata.delete(CHECKSUMS);
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    stored = null;
  }
  if (!isRecord(stored) || !isRecord(stored.tensors)) refuse(`metadata ${quote(CHECKSUMS)} is unreadable: ${AGAIN}`);
  const sums = new Map(Object.entries(stored.tensors) as [string, string][]);
  for (const info of infos) info.checksum = sums.get(info.name);
  if (headerChecksum(infos, metadata) !== stored.header)
    refuse(
      `the header is damaged: names, shapes or metadata do not match its checksum ${quote(stored.header)}: ${AGAIN}`,
    );
}

function verified(info: TensorInfo, data: Uint8Array): RawTensor {
  if (info.checksum !== undefined) {
    const found = checksum(data);
    if (found !== info.checksum)
      refuse(`tensor ${quote(info.name)} is damaged: checksum ${found}, stored ${quote(info.checksum)}: ${AGAIN}`);
  }
  return { dtype: info.dtype, shape: info.shape, data };
}

async function readWhole(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const data = await source.read(offset, length);
  if (data.length !== length)
    refuse(`read ${data.length} of ${length} bytes at byte ${offset}: the file shrank while being read: try again`);
  return data;
}

/** Puts the source's name into the errors of `body`. */
async function naming<T>(source: ByteSource, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw error instanceof SafetensorsError ? new SafetensorsError(error.rule, source.name) : error;
  }
}

function parseJson(json: Uint8Array): Map<string, unknown> {
  let value: unknown;
  try {
    value = parseStrictJson(json, 3); // {"name": {"shape": [2, 3]}}
  } catch (error) {
    refuse(`the header ${(error as Error).message}: is it a safetensors file?`);
  }
  if (!isRecord(value)) refuse('the header must be a JSON object: is it a safetensors file?');
  return new Map(Object.entries(value));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
