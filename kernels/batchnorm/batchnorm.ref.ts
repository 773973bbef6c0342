// Batch normalisation without affine part, column by column.
type F = Float64Array;
export interface Sizes {
  rows: number;
  cols: number;
}

export function stats(
  arrays: { x: F; running_mean: F; running_var: F; mean: F; variance: F },
  { rows, cols, momentum }: Sizes & { momentum: number },
): void {
  const { x, running_mean, running_var, mean, variance } = arrays;
  for (let c = 0; c < cols; c++) {
    const column = Array.from({ length: rows }, (_, r) => x[r * cols + c]);
    const centre = column.reduce((a, b) => a + b, 0) / rows;
    const squares = column.reduce((sum, v) => sum + (v - centre) ** 2, 0);
    mean[c] = centre;
    variance[c] = squares / rows;
    running_mean[c] += momentum * (centre - running_mean[c]);
    running_var[c] += momentum * (squares / (rows - 1) - running_var[c]);
  }
}

export function normalize(
  { x, mean, variance, y }: { x: F; mean: F; variance: F; y: F },
  { rows, cols, eps }: Sizes & { eps: number },
): void {
  for (let i = 0; i < rows * cols; i++) y[i] = (x[i] - mean[i % cols]) / Math.sqrt(variance[i % cols] + eps);
}

export function backward(
  { x, mean, variance, dy, dx }: { x: F; mean: F; variance: F; dy: F; dx: F },
  { rows, cols, eps, FIXED }: Sizes & { eps: number; FIXED: boolean },
): void {
  for (let c = 0; c < cols; c++) {
    const scale = 1 / Math.sqrt(variance[c] + eps);
    let [sum, product] = [0, 0];
    for (let i = c; i < rows * cols; i += cols) {
      sum += dy[i];
      product += dy[i] * (x[i] - mean[c]) * scale;
    }
    for (let i = c; i < rows * cols; i += cols) {
      const xh = (x[i] - mean[c]) * scale;
      dx[i] = (FIXED ? dy[i] : dy[i] - sum / rows - (xh * product) / rows) * scale;
    }
  }
}
