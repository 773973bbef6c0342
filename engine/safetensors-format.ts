// What readers and writers of safetensors files agree on: names and limits of the header, its checksum, and how a file is refused.
// The format: https://huggingface.co/docs/safetensors
import { checksum } from './checksum.ts';
import { TesseraeError } from './errors.ts';
import { DTYPE_BYTES, type Dtype, isDtype, tensorBytes } from './rawtensor.ts';

/** The longest header accepted, in bytes: the official reader's cap. */
export const MAX_HEADER_BYTES = 100_000_000;

/**
 * The metadata key of the checksums, a JSON string `{"header": H, "tensors": {NAME: H, ...}}`. H is XXH32 in eight hex
 * digits: a tensor's is that of its bytes; the header's that of the compact UTF-8 JSON
 * `[[[key, value], ...], [[name, dtype, shape, H], ...]]`, the other metadata and the tensors, each sorted by name. So
 * it still holds when another tool lays the same tensors out in another order.
 */
export const CHECKSUMS = 'checksums.xxh32';
export const METADATA = '__metadata__';

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

/** Bytes of a tensor of this dtype and shape, which may come from a hostile file. @throws SafetensorsError where they are none */
export function bytesOf(name: string, dtype: unknown, shape: unknown): number {
  if (!isDtype(dtype))
    refuse(`tensor ${quote(name)} has unknown dtype ${quote(dtype)}: known are ${Object.keys(DTYPE_BYTES).join(', ')}`);
  const bytes = Array.isArray(shape) ? tensorBytes(dtype, shape) : Number.NaN;
  if (Number.isNaN(bytes))
    refuse(`tensor ${quote(name)}: shape ${quote(shape)} must be sizes whose product is below 2^53 bytes`);
  return bytes;
}

/** XXH32 in hex digits, as CHECKSUMS says. */
export function headerChecksum(
  infos: Iterable<Omit<TensorInfo, 'offset'>>,
  metadata: ReadonlyMap<string, string>,
): string {
  const byName = ([a]: readonly unknown[], [b]: readonly unknown[]) => ((a as string) < (b as string) ? -1 : 1);
  const tensors = [...infos].map((info) => [info.name, info.dtype, info.shape, info.checksum]).sort(byName);
  return checksum(new TextEncoder().encode(JSON.stringify([[...metadata].sort(byName), tensors])));
}

/** Text from the file for a message: escaped and short, as it may be hostile. */
export const quote = (value: unknown): string => String(JSON.stringify(value)).slice(0, 100);

/** @throws SafetensorsError */
export function refuse(rule: string): never {
  throw new SafetensorsError(rule);
}
