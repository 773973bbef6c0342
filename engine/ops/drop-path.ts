// Stochastic depth (Huang et al. 2016): a residual branch that whole samples drop out of, keyed by sample and epoch.
import { elementwiseDroppath } from '../../kernels/elementwise/elementwise.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (samples, …): the branch */
  x: Tensor;
  /** (samples, …): what it is added to */
  r: Tensor;
  /** (samples), u32: the samples' numbers in the data set; no gradient */
  ids: Tensor;
  /** (2), u32: epoch and step; no gradient */
  clock: Tensor;
}

/** y = r + x / (1 - rate) for the samples that keep the branch, r for the others. */
export const dropPath = defineOp('dropPath', {
  forward(t, { x, r, ids, clock }: Inputs, { rate, seed, stream }: { rate: number; seed: number; stream: number }) {
    if (!(rate >= 0 && rate < 1)) fail(`dropPath: rate must be in [0, 1), got ${rate}`);
    if (!sameShape(x.shape, r.shape))
      fail(`dropPath: x and r must match, got ${shapeText(x.shape)} and ${shapeText(r.shape)}`);
    const samples = x.shape[0];
    const key = { samples, n: numel(x.shape) / samples, rate, seed, stream };
    const branch = { x: cast(t, x, 'f32'), r: cast(t, r, 'f32'), ids, clock };
    const { y } = t.run(elementwiseDroppath, branch, key);
    return { out: { y: y.reshape(...x.shape) }, saved: { ids, clock, key } };
  },
  backward(t, { y: dy }, { ids, clock, key }) {
    const { y: dx } = t.run(elementwiseDroppath, { x: dy, r: null, ids, clock }, { ...key, SUM: false });
    return { x: dx.reshape(...dy.shape), r: dy, ids: null, clock: null };
  },
});
