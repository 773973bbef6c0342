// Plain sums in f64, chunk by chunk as the kernels cut them.

interface Columns {
  rows: number;
  cols: number;
  groups: number;
  stride: number;
  offset: number;
  SUMS: number;
  TWICE: boolean;
}

export function columns(
  { x, y, z, v, x2, y2, z2, v2 }: Record<'x' | 'y' | 'z' | 'v' | 'x2' | 'y2' | 'z2' | 'v2', Float64Array>,
  { rows, cols, groups, stride, offset, SUMS, TWICE }: Columns,
): void {
  const chunk = Math.ceil(rows / groups);
  const of = (from: Float64Array, sums: Float64Array[]): void => {
    for (let r = 0; r < rows; r++) {
      const at = Math.floor(r / chunk) * cols;
      for (const [i, sum] of sums.entries())
        for (let c = 0; c < cols; c++) sum[at + c] += from[r * stride + offset + i * cols + c];
    }
  };
  of(x, [y, z, v].slice(0, SUMS));
  if (TWICE) of(x2, [y2, z2, v2].slice(0, SUMS));
}

export function sum(
  { x, y }: { x: Float64Array; y: Float64Array },
  { n, groups, SQUARE }: { n: number; groups: number; SQUARE: boolean },
): void {
  const chunk = 4 * Math.ceil(n / groups / 4); // whole vectors of 4
  for (let i = 0; i < n; i++) y[Math.floor(i / chunk)] += SQUARE ? x[i] * x[i] : x[i];
}
