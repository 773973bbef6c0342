// Column sums on a trace, in two stages where one would leave the device idle.
import { columnGroups, partialGroups, reduceColumns } from '../../kernels/reduce/reduce.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/** Sums x (rows, cols) over its rows: (cols). */
export function columnSum(t: Trace, x: Tensor, rows: number, cols: number): Tensor {
  const groups = columnGroups(rows, cols, t.traits.profile);
  const parts = sumInto(t, x, rows, cols, groups);
  return (groups === 1 ? parts : sumInto(t, parts, groups, cols, 1)).reshape(cols);
}

/** Partial sums of x (rows, cols) over its rows for another kernel to finish: (groups, cols). */
export const columnParts = (t: Trace, x: Tensor, rows: number, cols: number): Tensor =>
  sumInto(t, x, rows, cols, partialGroups(rows, cols, t.traits.profile));

/** Sums of so many chunks of x's rows: (groups, cols). */
export const sumInto = (t: Trace, x: Tensor, rows: number, cols: number, groups: number): Tensor =>
  t.run(reduceColumns, { x, x2: null }, { rows, cols, groups, stride: cols, offset: 0, HALF: x.dtype === 'f16' }).y;

/** Sums x (rows, SUMS, cols) over its rows, by one dispatch: y, z and the third where SUMS is 3, v, of (cols) each. */
export function stackedSums(t: Trace, x: Tensor, rows: number, cols: number, SUMS: 2 | 3) {
  return t.run(reduceColumns, { x, x2: null }, { rows, cols, groups: 1, stride: SUMS * cols, offset: 0, SUMS });
}
