// Safetensors files: an 8-byte header length, a JSON header, then the tensors' bytes. Read as hostile input, written
// with checksums. The format: https://huggingface.co/docs/safetensors
import { checksum } from './checksum.ts';
import { shapeText, TesseraeError } from './errors.ts';
import { DTYPE_BYTES, type Dtype, isDtype, type RawTensor, tensorBytes } from './rawtensor.ts';
import { parseStrictJson } from './strictjson.ts';

/** The longest header accepted, in bytes: the official reader's cap. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * The metadata key of the checksums, a JSON string `{"header": H, "tensors": {NAME: H, ...}}`. H is XXH32 in eight hex
 * digits: a tensor's is that of its bytes; the header's that of the compact UTF-8 JSON
 * `[[[key, value], ...], [[name, dtype, shape, H], ...]]`, the other metadata and the tensors, each sorted by name. So
 * it still holds when another tool lays the same tensors out in another order.
 */
const CHECKSUMS = 'checksums.xxh32';
const METADATA = '__metadata__';
const AGAIN = 'download or copy the file again, or use an earlier checkpoint';

/** A file that is damaged, hostile or no safetensors file, or tensors that cannot be written as one. */
export class SafetensorsError extends TesseraeError {
  /** The message without `safetensors:` and file name. */
  readonly rule: string;
  constructor(rule: string, file?: string) {
    super(`safetensors: ${file === undefined ? '' : `${file}: `}${rule}`);
    this.rule = rule;
  }
}

/** Where one tensor lies: `offset` from the start of the file, `bytes` long. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
  /** XXH32 in hex digits, where the file has it. */
  readonly checksum?: string;
}

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

/**
 * The file as chunks in order (header, then each tensor's own bytes, not copied): for `writeFileAtomic` or `new Blob`.
 * The same arguments give the same bytes. Tensors are laid out by falling element size, then in the given order, so that
 * each is aligned: PyTorch's reader refuses a tensor that is not.
 * @throws SafetensorsError where names repeat or data and shape disagree
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, RawTensor]>,
  metadata: Readonly<Record<string, string>> | ReadonlyMap<string, string> = {},
): Uint8Array[] {
  const sorted = [...tensors].sort(([, a], [, b]) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const infos = new Map<string, Omit<TensorInfo, 'offset'>>();
  const entries: string[] = [];
  let offset = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    refuseBadName(name);
    if (name === METADATA || infos.has(name))
      refuse(`tensor name ${quote(name)} is taken: give each tensor its own name`);
    const bytes = bytesOf(name, dtype, shape);
    if (data.length !== bytes)
      refuse(`tensor ${quote(name)}: ${dtype} ${shapeText(shape)} needs ${bytes} bytes, got ${data.length}`);
    infos.set(name, { name, dtype, shape, bytes, checksum: checksum(data) });
    const entry = { dtype, shape, data_offsets: [offset, (offset += bytes)] };
    entries.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const texts = new Map<string, string>(metadata instanceof Map ? metadata : Object.entries(metadata));
  if (texts.has(CHECKSUMS)) refuse(`metadata key ${quote(CHECKSUMS)} is the writer's own: use another`);
  for (const [key, value] of texts) {
    refuseBadName(key);
    if (typeof value !== 'string')
      refuse(`metadata ${quote(key)} must be a string, got ${typeof value}: JSON.stringify it`);
    refuseBadName(value);
  }
  const sums = [...infos.values()].map((info) => [info.name, info.checksum] as const);
  texts.set(
    CHECKSUMS,
    JSON.stringify({ header: headerChecksum(infos.values(), texts), tensors: Object.fromEntries(sums) }),
  );
  entries.unshift(`${JSON.stringify(METADATA)}:${JSON.stringify(Object.fromEntries(texts))}`);
  return [encodeHeader(`{${entries.join(',')}}`), ...sorted.map(([, tensor]) => tensor.data)];
}

/** Length, then JSON padded with spaces: the data begins at a multiple of 8. */
export function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER_BYTES)
    refuse(`the header would have ${length} bytes, over the cap of ${MAX_HEADER_BYTES}: write several files`);
  const head = new Uint8Array(8 + length).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(length), true);
  head.set(text, 8);
  return head;
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

function bytesOf(name: string, dtype: unknown, shape: unknown): number {
  if (!isDtype(dtype))
    refuse(`tensor ${quote(name)} has unknown dtype ${quote(dtype)}: known are ${Object.keys(DTYPE_BYTES).join(', ')}`);
  const bytes = Array.isArray(shape) ? tensorBytes(dtype, shape) : Number.NaN;
  if (Number.isNaN(bytes))
    refuse(`tensor ${quote(name)}: shape ${quote(shape)} must be sizes whose product is below 2^53 bytes`);
  return bytes;
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

function headerChecksum(infos: Iterable<Omit<TensorInfo, 'offset'>>, metadata: ReadonlyMap<string, string>): string {
  const byName = ([a]: readonly unknown[], [b]: readonly unknown[]) => ((a as string) < (b as string) ? -1 : 1);
  const tensors = [...infos].map((info) => [info.name, info.dtype, info.shape, info.checksum]).sort(byName);
  return checksum(new TextEncoder().encode(JSON.stringify([[...metadata].sort(byName), tensors])));
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

/** Lone surrogates have no UTF-8: other readers would refuse the file. */
function refuseBadName(text: string): void {
  if (/\p{Surrogate}/u.test(text)) refuse(`${quote(text)} has half a surrogate pair, which UTF-8 cannot hold`);
}

/** Text from the file for a message: escaped and short, as it may be hostile. */
const quote = (value: unknown): string => String(JSON.stringify(value)).slice(0, 100);

function refuse(rule: string): never {
  throw new SafetensorsError(rule);
}
