// Batch normalisation without affine part: torch's BatchNorm1d(affine=False).
import { batchnormBackward, batchnormNormalize, batchnormStats } from '../../kernels/batchnorm/batchnorm.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (rows, cols) */
  x: Tensor;
  /** (cols); followed in training, used in evaluation; no gradient */
  running_mean: Tensor;
  /** (cols), unbiased; likewise */
  running_var: Tensor;
}

interface Attributes {
  eps: number;
  /** Part of a batch's statistics in the running ones. */
  momentum: number;
  training: boolean;
}

/**
 * y (rows, cols): (x - mean) / sqrt(variance + eps) of the columns, by the batch in training and by the running ones
 * else.
 */
export const batchNorm = defineOp('batchNorm', {
  forward(t, { x: given, running_mean, running_var }: Inputs, { eps, momentum, training }: Attributes) {
    const [rows, cols] = given.shape;
    if (given.shape.length !== 2 || numel(running_mean.shape) !== cols || numel(running_var.shape) !== cols) {
      const got = [given, running_mean, running_var].map((v) => shapeText(v.shape)).join(', ');
      fail(`batchNorm: x must be (rows, cols), running_mean and running_var (cols), got ${got}`);
    }
    if (training && rows < 2) fail('batchNorm: one row has no variance: train on batches of 2 at least');
    const x = cast(t, given, 'f32');
    const sizes = { rows, cols };
    const { mean, variance } = training
      ? t.run(batchnormStats, { x, running_mean, running_var }, { ...sizes, momentum })
      : { mean: running_mean, variance: running_var };
    const { y } = t.run(batchnormNormalize, { x, mean, variance }, { ...sizes, eps });
    return { out: { y }, saved: { x, mean, variance, problem: { ...sizes, eps, FIXED: !training } } };
  },
  backward: (t, { y: dy }, { x, mean, variance, problem }) => ({
    x: t.run(batchnormBackward, { x, mean, variance, dy }, problem).dx,
    running_mean: null,
    running_var: null,
  }),
});
