// Mean over patches, sample by sample.
interface Sizes {
  batch: number;
  tokens: number;
  dim: number;
}

export function forward({ x, y }: { x: Float64Array; y: Float64Array }, { batch, tokens, dim }: Sizes): void {
  for (let i = 0; i < batch * dim; i++) {
    const first = Math.floor(i / dim) * tokens * dim + (i % dim);
    let sum = 0;
    for (let l = 1; l < tokens; l++) sum += x[first + l * dim];
    y[i] = sum / (tokens - 1);
  }
}

export function backward({ dy, dx }: { dy: Float64Array; dx: Float64Array }, { batch, tokens, dim }: Sizes): void {
  for (let i = 0; i < batch * tokens * dim; i++) {
    const row = Math.floor(i / dim);
    dx[i] = row % tokens === 0 ? 0 : dy[Math.floor(row / tokens) * dim + (i % dim)] / (tokens - 1);
  }
}
