// y = a b, element by element: gates, squares.
import { elementwiseMul } from '../../kernels/elementwise/elementwise.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

/** y = a b, of equal shapes; a and b may be the same tensor. */
export const mul = defineOp('mul', {
  forward(t, { a, b }: { a: Tensor; b: Tensor }, _: Record<never, never>) {
    if (!sameShape(a.shape, b.shape))
      fail(`mul: shapes must match, got ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
    const { y } = t.run(elementwiseMul, { a: cast(t, a, 'f32'), b: cast(t, b, 'f32') }, { n: numel(a.shape) });
    return { out: { y: y.reshape(...a.shape) }, saved: { a, b } };
  },
  backward(t, { y: dy }, { a, b }, needs) {
    const times = (other: Tensor): Tensor =>
      t.run(elementwiseMul, { a: dy, b: cast(t, other, 'f32') }, { n: numel(dy.shape) }).y.reshape(...dy.shape);
    return { a: needs.a ? times(b) : null, b: needs.b ? times(a) : null };
  },
});
