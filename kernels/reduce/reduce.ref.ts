// Plain sums in f64, chunk by chunk as the kernels cut them.

export function columns(
  { x, y }: { x: Float64Array; y: Float64Array },
  {
    rows,
    cols,
    groups,
    stride,
    offset,
  }: { rows: number; cols: number; groups: number; stride: number; offset: number },
): void {
  const chunk = Math.ceil(rows / groups);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) y[Math.floor(r / chunk) * cols + c] += x[r * stride + offset + c];
  }
}

export function sum(
  { x, y }: { x: Float64Array; y: Float64Array },
  { n, groups, SQUARE }: { n: number; groups: number; SQUARE: boolean },
): void {
  const chunk = Math.ceil(n / groups);
  for (let i = 0; i < n; i++) y[Math.floor(i / chunk)] += SQUARE ? x[i] * x[i] : x[i];
}
