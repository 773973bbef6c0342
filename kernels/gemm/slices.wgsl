// Slices of A and B as f16 in workgroup memory, as they lie in the matrices: fetched in vectors, loaded as subgroup matrices.
// Staged rows lie 16 bytes further apart than they are long, so that a matrix's rows meet different banks. Arrays of
// scalars: in arrays of vectors, Dawn's versions disagree on what offsets and strides count.
const LONG_A = select(BK, BM, LAYOUT == 2u);
const LONG_B = select(BN, BK, LAYOUT == 1u);
const STRIDE_A = LONG_A + 8u;
const STRIDE_B = LONG_B + 8u;
var<workgroup> sa: array<f16, BM * BK / LONG_A * STRIDE_A>;
var<workgroup> sb: array<f16, BN * BK / LONG_B * STRIDE_B>;

// Vector i of the slice of A at base. Rows beyond the matrix repeat others, depths beyond are 0.
fn fetchA(tile: Tile, base: u32, i: u32) -> vec4<f16> {
  let along = i * 4u % LONG_A;
  let depth = base + select(along, i * 4u / LONG_A, LAYOUT == 2u);
  if (depth >= tile.end) { return vec4<f16>(); }
  if (LAYOUT == 2u) { return vec4<f16>(a[(tile.a + depth * p.lda + min(tile.row + along, p.m - 4u)) / 4u]); }
  return vec4<f16>(a[(tile.a + min(tile.row + i * 4u / LONG_A, p.m - 1u) * p.lda + depth) / 4u]);
}

fn fetchB(tile: Tile, base: u32, i: u32) -> vec4<f16> {
  let along = i * 4u % LONG_B;
  let depth = base + select(i * 4u / LONG_B, along, LAYOUT == 1u);
  if (depth >= tile.end) { return vec4<f16>(); }
  if (LAYOUT == 1u) { return vec4<f16>(b[(tile.b + min(tile.col + i * 4u / LONG_B, p.n - 1u) * p.ldb + depth) / 4u]); }
  return vec4<f16>(b[(tile.b + depth * p.ldb + min(tile.col + along, p.n - 4u)) / 4u]);
}

fn left(row: u32, depth: u32) -> Left {
  if (LAYOUT == 2u) { return subgroupMatrixLoad<Left, col_major>(&sa, depth * STRIDE_A + row, STRIDE_A); }
  return subgroupMatrixLoad<Left, row_major>(&sa, row * STRIDE_A + depth, STRIDE_A);
}

fn right(col: u32, depth: u32) -> Right {
  if (LAYOUT == 1u) { return subgroupMatrixLoad<Right, col_major>(&sb, col * STRIDE_B + depth, STRIDE_B); }
  return subgroupMatrixLoad<Right, row_major>(&sb, depth * STRIDE_B + col, STRIDE_B);
}
