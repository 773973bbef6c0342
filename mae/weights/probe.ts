// facebookresearch/mae's linear probes: BatchNorm1d(affine=False, eps=1e-6) before the head. Once trained it is a fixed scaling, and goes into the
// head: w' = w / sqrt(var + eps), b' = b - w' mean.
import { fail } from '../../engine/errors.ts';

export const BATCH_NORM_EPS = 1e-6;

/** The reference's names. */
export const PROBE = {
  mean: 'head.0.running_mean',
  variance: 'head.0.running_var',
  weight: 'head.1.weight',
  bias: 'head.1.bias',
  batches: 'head.0.num_batches_tracked',
} as const;

/** (K, D) and (K): a head that does both. */
export function foldedHead(get: (name: string) => Float32Array): { weight: Float32Array; bias: Float32Array } {
  const [mean, variance, w, b] = [PROBE.mean, PROBE.variance, PROBE.weight, PROBE.bias].map(get);
  const D = mean.length;
  const weight = w.map((x, i) => x / Math.sqrt(variance[i % D] + BATCH_NORM_EPS));
  const bias = b.map((x, k) => x - weight.subarray(k * D, (k + 1) * D).reduce((sum, v, i) => sum + v * mean[i], 0));
  return { weight, bias };
}

/** Puts the folded head in the place of the probe's tensors. */
export function foldProbe(weights: Map<string, Float32Array>): void {
  const get = (name: string): Float32Array => weights.get(name) ?? fail(`is a linear probe that lacks ${name}`);
  const D = get('cls_token').length;
  if (
    get(PROBE.mean).length !== D ||
    get(PROBE.variance).length !== D ||
    get(PROBE.weight).length !== D * get(PROBE.bias).length
  )
    fail(`is a linear probe whose batch norm or head is not for features of ${D} values`);
  const { weight, bias } = foldedHead(get);
  for (const name of Object.values(PROBE)) weights.delete(name);
  weights.set('head.weight', weight).set('head.bias', bias);
}
