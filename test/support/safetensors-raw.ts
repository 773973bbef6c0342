// Safetensors files made by hand, so that the reader is not only tested against our own writer.
import type { ByteSource } from '../../engine/safetensors.ts';

export const utf8 = (text: string) => new TextEncoder().encode(text);
export const join = (chunks: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(chunks));

/** A file with any header whatever, then `data` zero bytes; `length` is the length to claim for the header. */
export function raw(header: unknown, data = 0, length?: bigint): Uint8Array {
  const json =
    typeof header === 'string' ? utf8(header) : header instanceof Uint8Array ? header : utf8(JSON.stringify(header));
  const first = new Uint8Array(8);
  new DataView(first.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  return join([first, json, new Uint8Array(data)]);
}

export const source = (bytes: Uint8Array, name?: string): ByteSource => ({
  name,
  size: bytes.length,
  read: async (offset, length) => bytes.slice(offset, offset + length),
});
