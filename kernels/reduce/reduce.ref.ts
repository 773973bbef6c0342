// Plain sums in f64, chunk by chunk as the kernels cut them.

export function columns(
  { x, y, z }: { x: Float64Array; y: Float64Array; z: Float64Array },
  {
    rows,
    cols,
    groups,
    stride,
    offset,
    PAIR,
  }: { rows: number; cols: number; groups: number; stride: number; offset: number; PAIR: boolean },
): void {
  const chunk = Math.ceil(rows / groups);
  for (let r = 0; r < rows; r++) {
    const at = Math.floor(r / chunk) * cols;
    for (let c = 0; c < cols; c++) {
      y[at + c] += x[r * stride + offset + c];
      if (PAIR) z[at + c] += x[r * stride + offset + cols + c];
    }
  }
}

export function sum(
  { x, y }: { x: Float64Array; y: Float64Array },
  { n, groups, SQUARE }: { n: number; groups: number; SQUARE: boolean },
): void {
  const chunk = Math.ceil(n / groups);
  for (let i = 0; i < n; i++) y[Math.floor(i / chunk)] += SQUARE ? x[i] * x[i] : x[i];
}
