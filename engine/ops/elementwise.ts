// Sums, GELU and dropout as ops of their own, for models that do not have them fused. They compute in f32: what is stored
// as f16 is cast.
import {
  elementwiseAdd,
  elementwiseDgelu,
  elementwiseDropout,
  elementwiseGelu,
} from '../../kernels/elementwise/elementwise.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { cast } from './cast.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';

/** y = a + b, of equal shapes. */
export const add = defineOp('add', {
  forward(t, { a, b }: { a: Tensor; b: Tensor }, _: Record<never, never>) {
    if (!sameShape(a.shape, b.shape))
      fail(`add: shapes must match, got ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
    const { y } = t.run(elementwiseAdd, { a: cast(t, a, 'f32'), b: cast(t, b, 'f32') }, { n: numel(a.shape) });
    return { out: { y: y.reshape(...a.shape) }, saved: null };
  },
  backward: (_t, { y: dy }) => ({ a: dy, b: dy }),
});

/** y = x Phi(x), the exact GELU. */
export const gelu = defineOp('gelu', {
  forward(t, { x }: { x: Tensor }, _: Record<never, never>) {
    const n = numel(x.shape);
    const wide = cast(t, x, 'f32');
    return { out: { y: t.run(elementwiseGelu, { x: wide }, { n }).y.reshape(...x.shape) }, saved: { x, n } };
  },
  backward(t, { y: dy }, { x, n }) {
    return { x: t.run(elementwiseDgelu, { x: cast(t, x, 'f32'), dy }, { n }).dx.reshape(...x.shape) };
  },
});

interface Dropped extends Record<string, Tensor | null> {
  /** (samples, …) */
  x: Tensor;
  /** (samples), u32: the samples' numbers in the data set; no gradient */
  ids: Tensor;
  /** (2), u32: epoch and step; no gradient */
  clock: Tensor;
}

/** Zeroes elements with probability `rate` and scales the others by 1 / (1 - rate), keyed by sample and epoch. */
export const dropout = defineOp('dropout', {
  forward(t, { x, ids, clock }: Dropped, { rate, seed, stream }: { rate: number; seed: number; stream: number }) {
    if (!(rate >= 0 && rate < 1)) fail(`dropout: rate must be in [0, 1), got ${rate}`);
    const samples = x.shape[0];
    const key = { samples, n: numel(x.shape) / samples, rate, seed, stream };
    const { y } = t.run(elementwiseDropout, { x: cast(t, x, 'f32'), ids, clock }, key);
    return { out: { y: y.reshape(...x.shape) }, saved: { ids, clock, key } };
  },
  backward(t, { y: dy }, { ids, clock, key }) {
    return { x: t.run(elementwiseDropout, { x: dy, ids, clock }, key).y.reshape(...dy.shape), ids: null, clock: null };
  },
});
