// Cross-entropy against probabilities, and these from class numbers: smoothed, and mixed between two labels.
import {
  crossentropyBackward,
  crossentropyForward,
  crossentropyTargets,
} from '../../kernels/crossentropy/crossentropy.ts';
import { elementwiseScale } from '../../kernels/elementwise/elementwise.ts';
import { reduceSum } from '../../kernels/reduce/reduce.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { sameShape, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

/**
 * (rows, classes) from labels (rows), i32: 1 - smoothing + smoothing / classes at the label, smoothing / classes elsewhere; rows of zeros
 * for labels that are no class, as -1. With partner (rows) and lambda (1), lambda of that and 1 - lambda of the partner's.
 */
export function classTargets(
  { labels, partner = null, lambda = null }: { labels: Tensor; partner?: Tensor | null; lambda?: Tensor | null },
  { classes, smoothing = 0 }: { classes: number; smoothing?: number },
): Tensor {
  if (!(smoothing >= 0 && smoothing < 1)) fail(`classTargets: smoothing must be in [0, 1), got ${smoothing}`);
  if ((partner === null) !== (lambda === null)) fail('classTargets: partner and lambda must be given together');
  const [rows] = labels.shape;
  const problem = { rows, classes, smoothing, MIX: partner !== null };
  return labels.trace.run(crossentropyTargets, { labels, partner, lambda }, problem).targets;
}

interface Inputs extends Record<string, Tensor | null> {
  /** (rows, classes) */
  logits: Tensor;
  /** (rows, classes): probabilities; no gradient */
  targets: Tensor;
}

/** loss (1): the mean over rows; losses (rows): each row's, which has no gradient. */
export const crossEntropy = defineOp('crossEntropy', {
  forward(t, { logits: given, targets }: Inputs, _: Record<never, never>) {
    const [rows, classes] = given.shape;
    if (given.shape.length !== 2 || !sameShape(given.shape, targets.shape)) {
      const got = `${shapeText(given.shape)} and ${shapeText(targets.shape)}`;
      fail(`crossEntropy: logits and targets must be (rows, classes), got ${got}`);
    }
    const logits = cast(t, given, 'f32');
    const sizes = { rows, classes };
    const { losses, lse, mass } = t.run(crossentropyForward, { logits, targets }, sizes);
    const { y: sum } = t.run(reduceSum, { x: losses }, { n: rows, groups: 1 });
    const { y: loss } = t.run(elementwiseScale, { x: sum, s: t.constant(Float32Array.of(1 / rows), [1]) }, { n: 1 });
    return { out: { loss, losses }, saved: { logits, targets, lse, mass, sizes } };
  },
  backward(t, { loss: dloss, losses }, { logits, targets, lse, mass, sizes }) {
    if (!dloss || losses) fail('crossEntropy: only its mean loss has a gradient');
    return {
      logits: t.run(crossentropyBackward, { logits, targets, lse, mass, dloss }, sizes).dlogits,
      targets: null,
    };
  },
});
