// Tensors at rest: little-endian bytes with a dtype and a shape, and typed views of them. What files hold.
import { fail, shapeText } from './errors.ts';
import { fromHalves } from './half.ts';

/** Bytes per element of every dtype that can be read and written, under safetensors' names. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof DTYPE_BYTES;

/** `data` holds the elements in row-major order, little-endian: product(shape) * DTYPE_BYTES[dtype] bytes. */
export interface RawTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

// F16 and BF16 are viewed as their 16 bits: Node 20 has no Float16Array. `toFloat32` gives their values.
interface Views {
  F64: Float64Array;
  F32: Float32Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I64: BigInt64Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U64: BigUint64Array;
  U32: Uint32Array;
  U16: Uint16Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
}

/** The typed array that shows the elements of a dtype. */
type ViewOf<D extends Dtype> = Views[D];

const VIEWS: { readonly [D in Dtype]: new (buffer: ArrayBufferLike, offset: number, length: number) => Views[D] } = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

export const isDtype = (name: unknown): name is Dtype => typeof name === 'string' && Object.hasOwn(DTYPE_BYTES, name);

/** Bytes of a tensor, or NaN where `shape` is no list of sizes or the product passes 2^53 - 1. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  let bytes: number = DTYPE_BYTES[dtype];
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0 || Object.is(size, -0)) return Number.NaN;
    bytes *= size;
    // Checked at each step, as the official reader does: a zero further on must not hide an overflow.
    if (!Number.isSafeInteger(bytes)) return Number.NaN;
  }
  return bytes;
}

/** A tensor over the elements of `array`, without a copy. Throws where `shape` does not have as many elements. */
export function rawTensor<D extends Dtype>(dtype: D, shape: readonly number[], array: ViewOf<D>): RawTensor {
  const bytes = tensorBytes(dtype, shape);
  if (!(array instanceof VIEWS[dtype]))
    fail(`rawTensor: ${dtype} is made from a ${VIEWS[dtype].name}, got a ${(array as object).constructor.name}`);
  if (array.byteLength !== bytes)
    fail(`rawTensor: shape ${shapeText(shape)} of ${dtype} needs ${bytes} bytes, the array has ${array.byteLength}`);
  return { dtype, shape: [...shape], data: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) };
}

/**
 * The elements of `tensor` as the typed array of `dtype`, which must be the tensor's own. Shares memory with `data`
 * where that is aligned to the element, else is a copy.
 */
export function viewAs<D extends Dtype>(tensor: RawTensor, dtype: D): ViewOf<D> {
  if (tensor.dtype !== dtype) fail(`viewAs: the tensor is ${tensor.dtype}, asked for ${dtype}: convert it first`);
  const size = DTYPE_BYTES[dtype];
  const { buffer, byteOffset, length } =
    tensor.data.byteOffset % size === 0 ? tensor.data : new Uint8Array(tensor.data);
  return new VIEWS[dtype](buffer, byteOffset, length / size);
}

/**
 * The values of an F64, F32, F16 or BF16 tensor as float32: rounded to nearest from F64, exact from the others
 * (subnormals, infinities and NaN included). F32 may share memory with `data`.
 */
export function toFloat32(tensor: RawTensor): Float32Array {
  switch (tensor.dtype) {
    case 'F32':
      return viewAs(tensor, 'F32');
    case 'F64':
      return new Float32Array(viewAs(tensor, 'F64'));
    case 'BF16':
      return new Float32Array(Uint32Array.from(viewAs(tensor, 'BF16'), (half) => half << 16).buffer);
    case 'F16':
      return fromHalves(viewAs(tensor, 'F16'));
    default:
      fail(`toFloat32: ${tensor.dtype} is no floating-point dtype: use viewAs(tensor, '${tensor.dtype}')`);
  }
}
