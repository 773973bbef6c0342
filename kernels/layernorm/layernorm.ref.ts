// Plain layer normalisation in f64, the oracle of layernorm.forward and layernorm.backward.

interface Forward {
  x: Float64Array;
  r: Float64Array;
  w: Float64Array;
  b: Float64Array;
  s: Float64Array;
  y: Float64Array;
  stat: Float64Array;
}

export function forward(
  { x, r, w, b, s, y, stat }: Forward,
  { rows, cols, eps, ADD }: { rows: number; cols: number; eps: number; ADD: boolean },
): void {
  for (let i = 0; i < rows; i++) {
    const v = Array.from({ length: cols }, (_, c) => x[i * cols + c] + (ADD ? r[i * cols + c] : 0));
    let mean = 0;
    for (const value of v) mean += value / cols;
    let variance = 0;
    for (const value of v) variance += (value - mean) ** 2 / cols;
    const rstd = 1 / Math.sqrt(variance + eps);
    for (let c = 0; c < cols; c++) {
      if (ADD) s[i * cols + c] = v[c];
      y[i * cols + c] = (v[c] - mean) * rstd * w[c] + b[c];
    }
    stat[2 * i] = mean;
    stat[2 * i + 1] = rstd;
  }
}

interface Backward {
  x: Float64Array;
  w: Float64Array;
  stat: Float64Array;
  dy: Float64Array;
  ds: Float64Array;
  dx: Float64Array;
  sums: Float64Array;
}

export function backward(
  { x, w, stat, dy, ds, dx, sums }: Backward,
  { rows, cols, groups, ADD, SUM }: { rows: number; cols: number; groups: number; ADD: boolean; SUM: boolean },
): void {
  const chunk = Math.ceil(rows / groups);
  for (let i = 0; i < rows; i++) {
    const [mean, rstd] = [stat[2 * i], stat[2 * i + 1]];
    const at = Math.floor(i / chunk) * (SUM ? 3 : 2) * cols;
    let sum = 0;
    let dot = 0;
    for (let c = 0; c < cols; c++) {
      const d = dy[i * cols + c];
      const xhat = (x[i * cols + c] - mean) * rstd;
      sum += (d * w[c]) / cols;
      dot += (d * w[c] * xhat) / cols;
      sums[at + c] += d * xhat;
      sums[at + cols + c] += d;
    }
    for (let c = 0; c < cols; c++) {
      const xhat = (x[i * cols + c] - mean) * rstd;
      dx[i * cols + c] = rstd * (dy[i * cols + c] * w[c] - sum - xhat * dot) + (ADD ? ds[i * cols + c] : 0);
      if (SUM) sums[at + 2 * cols + c] += dx[i * cols + c];
    }
  }
}
