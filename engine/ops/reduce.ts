// Column sums on a trace, in two stages where one would leave the device idle.
import { columnGroups, reduceColumns } from '../../kernels/reduce/reduce.ts';
import type { Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/** Sums x (rows, cols) over its rows: (cols). */
export function columnSum(t: Trace, x: Tensor, rows: number, cols: number): Tensor {
  const groups = columnGroups(rows, cols, t.traits.profile);
  const sizes = { cols, stride: cols, offset: 0 };
  const { y } = t.run(reduceColumns, { x, x2: null }, { rows, groups, ...sizes, HALF: x.dtype === 'f16' });
  if (groups === 1) return y.reshape(cols);
  return t.run(reduceColumns, { x: y, x2: null }, { rows: groups, groups: 1, ...sizes }).y.reshape(cols);
}

/** Sums x (rows, 2, cols) over its rows: the two (cols) of it, by one dispatch. */
export function columnSumPair(t: Trace, x: Tensor, rows: number, cols: number): { y: Tensor; z: Tensor } {
  return t.run(reduceColumns, { x, x2: null }, { rows, cols, groups: 1, stride: 2 * cols, offset: 0, PAIR: true });
}
