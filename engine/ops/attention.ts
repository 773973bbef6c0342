// o = softmax(scale q k^T) v for every head, from the fused qkv (batch, tokens, 3 * heads * dim).
import * as kernels from '../../kernels/attention/attention.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (batch, tokens, 3 * heads * dim) */
  qkv: Tensor;
}

/** What the kernels go by. @throws where qkv is of another shape */
function sizesOf(qkv: Tensor, heads: number) {
  const [batch, tokens, width] = qkv.shape;
  const dim = width / 3 / heads;
  if (qkv.shape.length !== 3 || !Number.isInteger(dim) || dim % 4 || dim > 128) {
    fail(
      `attention: qkv must be (batch, tokens, 3 * ${heads} heads * dim), dim a multiple of 4 up to 128, got ${shapeText(qkv.shape)}`,
    );
  }
  return { batch, tokens, heads, dim, scale: dim ** -0.5, HALF: qkv.dtype === 'f16' };
}

/**
 * o (batch, tokens, heads * dim): softmax(q k^T / sqrt(dim)) v of every head. Keeps one number a row for backward, no
 * scores.
 */
export const attention = defineOp('attention', {
  forward(t, { qkv }: Inputs, { heads }: { heads: number }) {
    const sizes = sizesOf(qkv, heads);
    const { o, lse } = t.run(kernels.attentionForward, { qkv }, sizes);
    return {
      out: { o: o.reshape(sizes.batch, sizes.tokens, heads * sizes.dim) },
      saved: { qkv, o, lse, sizes },
    };
  },
  backward(t, { o: dO }, { qkv, o, lse, sizes }) {
    const { delta } = t.run(kernels.attentionDelta, { o, dO }, sizes);
    const { dqkv } = t.run(kernels.attentionBackward, { qkv, dO, lse, delta }, sizes);
    return { qkv: dqkv.reshape(...qkv.shape) };
  },
});

/**
 * (batch, heads, rows, tokens): how much each of `rows` query tokens from `first` on (all unless said) takes from every token; a row sums to
 * 1. For looking at: it has no gradient, and attention runs again for its log-sum-exp.
 */
export function attentionProbabilities(
  qkv: Tensor,
  { heads, first = 0, rows }: { heads: number; first?: number; rows?: number },
): Tensor {
  const sizes = sizesOf(qkv, heads);
  const count = rows ?? sizes.tokens - first;
  if (!(first >= 0 && count >= 1 && first + count <= sizes.tokens))
    fail(`attention: rows must lie within 0..${sizes.tokens - 1}, got ${count} from ${first} on`);
  const { lse } = qkv.trace.run(kernels.attentionForward, { qkv }, sizes);
  const problem = { ...sizes, first, rows: count };
  return qkv.trace.run(kernels.attentionProbabilities, { qkv, lse }, problem).probabilities;
}
