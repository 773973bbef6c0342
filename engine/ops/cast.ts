// The same numbers in another storage. Ops choose it themselves where a trace's precision is f16; see trace.half.
import { elementwiseCast } from '../../kernels/elementwise/elementwise.ts';
import { numel, type DType, type Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/**
 * `x` as f32 or f16; itself where it is that already, or integers, which the kernel that is given them refuses by name.
 * Records no gradient. f16 takes a multiple of 4 elements.
 */
export function cast(t: Trace, x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype || (x.dtype !== 'f32' && x.dtype !== 'f16')) return x;
  const sizes = { n: numel(x.shape), X16: x.dtype === 'f16', Y16: dtype === 'f16' };
  return t.run(elementwiseCast, { x }, sizes).y.reshape(...x.shape);
}
