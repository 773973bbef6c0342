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

/**
 * A table (1 + rows * cols, dim) of positions for another grid: the cls token's row as it is, the others by bicubic interpolation, as
 * torch's interpolate(mode='bicubic', align_corners=False), which has a = -0.75 and no antialiasing (facebookresearch/mae,
 * interpolate_pos_embed). In f64, rounded to f32 last.
 */
export function interpolatePositions(
  table: Float32Array,
  dim: number,
  from: readonly [number, number],
  to: readonly [number, number],
): Float32Array {
  if (from[0] === to[0] && from[1] === to[1]) return table;
  const out = new Float32Array((1 + to[0] * to[1]) * dim);
  out.set(table.subarray(0, dim));
  const [down, across] = [taps(from[0], to[0]), taps(from[1], to[1])];
  for (const [y, rows] of down.entries()) {
    for (const [x, cols] of across.entries()) {
      for (let k = 0; k < dim; k++) {
        let sum = 0;
        for (const [row, a] of rows)
          for (const [col, b] of cols) sum += a * b * table[(1 + row * from[1] + col) * dim + k];
        out[(1 + y * to[1] + x) * dim + k] = sum;
      }
    }
  }
  return out;
}

/** For every output place its four [source place, weight]s; places beyond the edge are the edge's. */
function taps(from: number, to: number): [number, number][][] {
  const a = -0.75;
  const weight = (distance: number): number => {
    const d = Math.abs(distance);
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
  };
  return Array.from({ length: to }, (_, i) => {
    const at = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(at) - 1;
    return Array.from({ length: 4 }, (_, j): [number, number] => {
      const place = Math.min(from - 1, Math.max(0, first + j));
      return [place, weight(at - (first + j))];
    });
  });
}
