// Mean squared error of anything against its target: torch.nn.functional.mse_loss.
import { elementwiseAxpy, elementwiseCopy, elementwiseScale } from '../../kernels/elementwise/elementwise.ts';
import { reduceSum, sumGroups } from '../../kernels/reduce/reduce.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { cast } from './cast.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** Of any shape. */
  pred: Tensor;
  /** As pred. */
  target: Tensor;
}

/** loss (1): the mean of (pred - target)^2 over all elements. */
export const mse = defineOp('mse', {
  forward(t, { pred, target }: Inputs, _: Record<never, never>) {
    if (!sameShape(pred.shape, target.shape))
      fail(`mse: shapes must match, pred is ${shapeText(pred.shape)}, target is ${shapeText(target.shape)}`);
    const n = numel(pred.shape);
    // pred - target, in place of a copy of pred.
    const { y: difference } = t.run(elementwiseCopy, { x: cast(t, pred, 'f32') }, { n });
    t.run(elementwiseAxpy, { x: cast(t, target, 'f32'), y: difference }, { n, s: -1 });
    const groups = sumGroups(n);
    const { y: parts } = t.run(reduceSum, { x: difference }, { n, groups, SQUARE: true });
    const sum = groups === 1 ? parts : t.run(reduceSum, { x: parts }, { n: groups, groups: 1 }).y;
    const mean = t.constant(Float32Array.of(1 / n), [1]);
    return { out: { loss: t.run(elementwiseScale, { x: sum, s: mean }, { n: 1 }).y }, saved: { difference, n, pred } };
  },
  backward(t, { loss: dloss }, { difference, n, pred }, needs) {
    const scaled = (factor: number): Tensor => {
      const { y: s } = t.run(elementwiseScale, { x: dloss, s: t.constant(Float32Array.of(factor), [1]) }, { n: 1 });
      return t.run(elementwiseScale, { x: difference, s }, { n }).y.reshape(...pred.shape);
    };
    return { pred: needs.pred ? scaled(2 / n) : null, target: needs.target ? scaled(-2 / n) : null };
  },
});
