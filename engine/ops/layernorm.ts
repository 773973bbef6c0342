// y = layernorm(x), or s = x + r and y = layernorm(s). Gives s too: the residual stream goes on from it, so that backward
// adds the gradients of both paths in one pass. `half`: where the trace's precision is f16, y is stored so.
import { layernormBackward, layernormForward, layernormGroups } from '../../kernels/layernorm/layernorm.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import { numel, sameShape, type Tensor } from '../tensor.ts';
import { stackedSums } from './reduce.ts';

interface Inputs extends Record<string, Tensor | null> {
  /** (…, cols) */
  x: Tensor;
  /** (…, cols), added first */
  r: Tensor | null;
  /** (cols) */
  w: Tensor;
  /** (cols) */
  b: Tensor;
}

/** y (…, cols) and s (…, cols) = x + r, which is x where r is null (Ba et al. 2016). */
export const layernorm = defineOp('layernorm', {
  forward(t, { x, r, w, b }: Inputs, { eps, half = false }: { eps: number; half?: boolean }) {
    const { rows, cols } = x.rows();
    const HALF = half && t.precision === 'f16' && cols % 4 === 0;
    if (numel(w.shape) !== cols) fail(`layernorm: w must be (${cols}), got ${shapeText(w.shape)}`);
    if (r && !sameShape(r.shape, x.shape))
      fail(`layernorm: r must be as x, ${shapeText(x.shape)}, got ${shapeText(r.shape)}`);
    const ran = t.run(layernormForward, { x, r, w, b }, { rows, cols, eps, ADD: r !== null, HALF });
    const s = r ? ran.s.reshape(...x.shape) : x.alias();
    const wanted = t.columnSums.wanted(x) || t.columnSums.wanted(r);
    return { out: { y: ran.y.reshape(...x.shape), s }, saved: { s, w, stat: ran.stat, rows, cols, HALF, wanted } };
  },
  backward(t, { y: dy, s: ds }, { s, w, stat, rows, cols, HALF, wanted }, needs) {
    if (!dy) return { x: ds, r: ds, w: null, b: null };
    const groups = layernormGroups(rows, t.traits.profile);
    const SUM = wanted && (needs.x || needs.r);
    const options = { ADD: ds !== null, HALF, SUM };
    const ran = t.run(layernormBackward, { x: s, w, stat, dy, ds }, { rows, cols, groups, ...options });
    const { y: dw, z: db, v: sums } = stackedSums(t, ran.sums, groups, cols, SUM ? 3 : 2);
    if (SUM) t.columnSums.keep(ran.dx, sums);
    const dx = ran.dx.reshape(...s.shape);
    return {
      x: dx,
      r: dx,
      w: dw.reshape(cols),
      b: db.reshape(cols),
    };
  },
});
