// Where the tensors of a safetensors file will lie, for writers that never have them all in memory. Such a file has no checksums: they stand before
// the bytes that they are of.
import { fail, shapeText } from './errors.ts';
import { DTYPE_BYTES, type Dtype, tensorBytes } from './rawtensor.ts';
import { encodeHeader } from './safetensors-write.ts';

interface TensorPlan {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/**
 * The header's bytes, which the file begins with, and the place of every tensor's first byte. Tensors lie by falling element size, then in the given
 * order, so that each is aligned.
 * @throws where names repeat or shapes are none
 */
export function layoutSafetensors(
  tensors: readonly TensorPlan[],
  metadata: Readonly<Record<string, string>> = {},
): { head: Uint8Array; offsets: ReadonlyMap<string, number>; size: number } {
  const sorted = [...tensors].sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  const header: Record<string, unknown> = { __metadata__: metadata };
  const begins = new Map<string, number>();
  let end = 0;
  for (const { name, dtype, shape } of sorted) {
    const bytes = tensorBytes(dtype, shape);
    if (Number.isNaN(bytes)) fail(`safetensors: ${name}: ${shapeText(shape)} is no shape below 2^53 bytes`);
    if (name in header) fail(`safetensors: tensor name ${name} is taken: give each tensor its own name`);
    begins.set(name, end);
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes)] };
  }
  const head = encodeHeader(JSON.stringify(header));
  const offsets = new Map([...begins].map(([name, at]) => [name, head.length + at]));
  return { head, offsets, size: head.length + end };
}
