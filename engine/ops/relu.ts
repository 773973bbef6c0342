// y = max(x, 0).
import { elementwiseDrelu, elementwiseRelu } from '../../kernels/elementwise/elementwise.ts';
import { defineOp } from '../op.ts';
import { numel, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

/** y = max(x, 0), of any shape; a NaN stays one, and the gradient at 0 is 0, as torch has it. */
export const relu = defineOp('relu', {
  forward(t, { x }: { x: Tensor }, _: Record<never, never>) {
    const n = numel(x.shape);
    const wide = cast(t, x, 'f32');
    return { out: { y: t.run(elementwiseRelu, { x: wide }, { n }).y.reshape(...x.shape) }, saved: { x, n } };
  },
  backward(t, { y: dy }, { x, n }) {
    return { x: t.run(elementwiseDrelu, { x: cast(t, x, 'f32'), dy }, { n }).dx.reshape(...x.shape) };
  },
});
