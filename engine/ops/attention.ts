// o = softmax(scale q k^T) v for every head, from the fused qkv (batch, tokens, 3 * heads * dim).
import { attentionBackward, attentionDelta, attentionForward } from '../../kernels/attention/attention.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, tokens, 3 * heads * dim) */
  qkv: Tensor;
}

export const attention = defineOp('attention', {
  forward(t, { qkv }: Inputs, { heads }: { heads: number }) {
    const [batch, tokens, width] = qkv.shape;
    const dim = width / 3 / heads;
    if (qkv.shape.length !== 3 || !Number.isInteger(dim) || dim % 4 || dim > 128) {
      fail(
        `attention: qkv must be (batch, tokens, 3 * ${heads} heads * dim), dim a multiple of 4 up to 128, got ${shapeText(qkv.shape)}`,
      );
    }
    const sizes = { batch, tokens, heads, dim, scale: dim ** -0.5, HALF: qkv.dtype === 'f16' };
    const { o, lse } = t.run(attentionForward, { qkv }, sizes);
    return { out: { o: o.reshape(batch, tokens, heads * dim) }, saved: { qkv, o, lse, sizes } };
  },
  backward(t, { o: dO }, { qkv, o, lse, sizes }) {
    const { delta } = t.run(attentionDelta, { o, dO }, sizes);
    const { dqkv } = t.run(attentionBackward, { qkv, dO, lse, delta }, sizes);
    return { qkv: dqkv.reshape(...qkv.shape) };
  },
});
