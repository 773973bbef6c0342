// Global average pooling: the mean over patch tokens, without the cls token in front of them (MAE, appendix A.1).
import { poolBackward, poolForward } from '../../kernels/pool/pool.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

/** x (batch, 1 + L, dim) to y (batch, dim). */
export const pool = defineOp('pool', {
  forward(t, { x }: { x: Tensor }, _: Record<never, never>) {
    const [batch, tokens, dim] = x.shape;
    if (x.shape.length !== 3 || tokens < 2)
      fail(`pool: x must be (batch, 1 + patches, dim) with a patch at least, got ${shapeText(x.shape)}`);
    const sizes = { batch, tokens, dim };
    return { out: { y: t.run(poolForward, { x: cast(t, x, 'f32') }, sizes).y }, saved: { sizes } };
  },
  backward: (t, { y: dy }, { sizes }) => ({ x: t.run(poolBackward, { dy }, sizes).dx }),
});
