// Chosen rows of every sample: y[b, j] = x[b, rows[j]], rows distinct. Backward puts them back, zeros elsewhere.
import { gatherDrows, gatherRows } from '../../kernels/gather/gather.ts';
import { fail, shapeText } from '../errors.ts';
import { defineOp } from '../op.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/** The same indices for every sample of a batch. */
const repeated = (t: Trace, batch: number, indices: readonly number[]): Tensor =>
  t.constant(
    Uint32Array.from({ length: batch * indices.length }, (_, i) => indices[i % indices.length]),
    [batch, indices.length],
  );

/** y (batch, count, dim): the rows of x that the attribute lists, the same of every sample. */
export const take = defineOp('take', {
  forward(t, { x }: { x: Tensor }, { rows: chosen }: { rows: readonly number[] }) {
    const [batch, rows, dim] = x.shape;
    if (x.shape.length !== 3) fail(`take: x must be (batch, rows, dim), got ${shapeText(x.shape)}`);
    const wrong = chosen.find((r) => !Number.isInteger(r) || r < 0 || r >= rows);
    if (wrong !== undefined || new Set(chosen).size !== chosen.length) {
      fail(`take: rows must be distinct and within 0..${rows - 1}, got ${wrong ?? 'a repeated one'}`);
    }
    const sizes = { batch, rows, count: chosen.length, dim };
    const { y } = t.run(gatherRows, { x, ids: repeated(t, batch, chosen) }, sizes);
    return { out: { y }, saved: { sizes, chosen } };
  },
  backward(t, { y: dy }, { sizes, chosen }) {
    const inverse = Array.from({ length: sizes.rows }, (_, r) =>
      chosen.includes(r) ? chosen.indexOf(r) : sizes.count,
    );
    return { x: t.run(gatherDrows, { dy, inverse: repeated(t, sizes.batch, inverse) }, sizes).dx };
  },
});
