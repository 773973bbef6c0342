// Column sums on a trace, in two stages where one would leave the device idle.
import { columnGroups, reduceColumns } from '../../kernels/reduce/reduce.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/** Sums x (rows, cols) over its rows: (cols). */
export function columnSum(t: Trace, x: Tensor, rows: number, cols: number): Tensor {
  const groups = columnGroups(rows, cols, t.traits.profile);
  const first = t.run(reduceColumns, { x }, { rows, cols, groups, stride: cols, offset: 0, HALF: x.dtype === 'f16' }).y;
  return groups === 1 ? first.reshape(cols) : columnsOf(t, first, groups, cols, cols, 0);
}

/** Sums `cols` columns from `offset` on of partial sums (rows, stride): (cols). */
export function columnsOf(t: Trace, x: Tensor, rows: number, cols: number, stride: number, offset: number): Tensor {
  return t.run(reduceColumns, { x }, { rows, cols, groups: 1, stride, offset }).y.reshape(cols);
}
