// Safetensors files as bytes, with checksums.
import { checksum } from './checksum.ts';
import { shapeText } from './errors.ts';
import { DTYPE_BYTES, type RawTensor } from './rawtensor.ts';
import {
  bytesOf,
  CHECKSUMS,
  headerChecksum,
  MAX_HEADER_BYTES,
  METADATA,
  quote,
  refuse,
  type TensorInfo,
} from './safetensors-format.ts';

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

/** Lone surrogates have no UTF-8: other readers would refuse the file. */
function refuseBadName(text: string): void {
  if (/\p{Surrogate}/u.test(text)) refuse(`${quote(text)} has half a surrogate pair, which UTF-8 cannot hold`);
}
