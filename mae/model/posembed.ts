// Fixed two-dimensional sin-cos position embeddings (MAE, section 3; layout of facebookresearch/mae's pos_embed.py).

/**
 * (1 + rows * cols, dim): a row of zeros for the cls token, then patches in row-major order. The first half of each row
 * encodes the column, the second half the row (the reference's variable names say the opposite); each half is
 * [sin, cos] at dim / 4 frequencies 10000^(-k / (dim / 4)). In f64, rounded to f32 last.
 */
export function sinCosPositions(dim: number, [rows, cols]: readonly [number, number]): Float32Array {
  const quarter = dim / 4;
  const table = new Float32Array((1 + rows * cols) * dim);
  const put = (at: number, position: number): void => {
    for (let k = 0; k < quarter; k++) {
      const angle = position / 10000 ** (k / quarter);
      table[at + k] = Math.sin(angle);
      table[at + quarter + k] = Math.cos(angle);
    }
  };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < cols; x++) {
      const at = (1 + y * cols + x) * dim;
      put(at, x);
      put(at + dim / 2, y);
    }
  }
  return table;
}
