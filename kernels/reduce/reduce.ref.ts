// Plain sums in f64, chunk by chunk as the kernels cut them.

interface Columns {
  rows: number;
  cols: number;
  groups: number;
  stride: number;
  offset: number;
  PAIR: boolean;
  TWICE: boolean;
}

export function columns(
  { x, y, z, x2, y2, z2 }: Record<'x' | 'y' | 'z' | 'x2' | 'y2' | 'z2', Float64Array>,
  { rows, cols, groups, stride, offset, PAIR, TWICE }: Columns,
): void {
  const chunk = Math.ceil(rows / groups);
  const of = (from: Float64Array, first: Float64Array, last: Float64Array): void => {
    for (let r = 0; r < rows; r++) {
      const at = Math.floor(r / chunk) * cols;
      for (let c = 0; c < cols; c++) {
        first[at + c] += from[r * stride + offset + c];
        if (PAIR) last[at + c] += from[r * stride + offset + cols + c];
      }
    }
  };
  of(x, y, z);
  if (TWICE) of(x2, y2, z2);
}

export function sum(
  { x, y }: { x: Float64Array; y: Float64Array },
  { n, groups, SQUARE }: { n: number; groups: number; SQUARE: boolean },
): void {
  const chunk = 4 * Math.ceil(n / groups / 4); // whole vectors of 4
  for (let i = 0; i < n; i++) y[Math.floor(i / chunk)] += SQUARE ? x[i] * x[i] : x[i];
}
