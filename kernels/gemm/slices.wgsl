// Slices of A and B as f16 in workgroup memory, as they lie in the matrices: fetched in eights, loaded as subgroup matrices.
// Staged rows lie 16 bytes further apart than they are long, so that a matrix's rows meet different banks; where they run
// along k, FOLD parts of the tile lie side by side in rows of up to 64, so that less is lost and a subgroup's stores meet
// different banks, too. One array for all: the slices, and later the sums. Of whole 16 bytes, for drivers load matrices
// the faster the more they know of the alignment; offsets and strides of matrices count these.
const FOLD_A = select(select(1u, 2u, SM % 2u == 0u && BK <= 32u), 4u, SM % 4u == 0u && BK <= 16u);
const FOLD_B = select(select(1u, 2u, SN % 2u == 0u && BK <= 32u), 4u, SN % 4u == 0u && BK <= 16u);
const LONG_A = select(FOLD_A * BK, BM, LAYOUT == 2u) / 8u; // of a staged row, in eights
const LONG_B = select(BN, FOLD_B * BK, LAYOUT == 1u) / 8u;
const STRIDE_A = LONG_A + 1u;
const STRIDE_B = LONG_B + 1u;
const SLICE_A = BM * BK / 8u / LONG_A * STRIDE_A;
const SLICE_B = BN * BK / 8u / LONG_B * STRIDE_B;
const SUMS = RM * RN; // matrices of a subgroup
const QUADS = RN * MN / 4u; // fours of sums in a row of a subgroup
const ACROSS = QUADS + 2u; // from one of its rows to the next
const STEPS = MM * RN * MN / 4u / SUBGROUP; // in which its lanes finish a row of matrices
// How far a subgroup's matrices of one depth reach from where the first of them begins.
const REACH_A = select((RM * MM - 1u) * STRIDE_A + MK / 8u, (MK - 1u) * STRIDE_A + RM * MM / 8u, LAYOUT == 2u);
const REACH_B = select((MK - 1u) * STRIDE_B + RN * MN / 8u, (RN * MN - 1u) * STRIDE_B + MK / 8u, LAYOUT == 1u);
const POOL = max(max(SLICE_A + SLICE_B, SM * SN * MM * ACROSS), 2u * THREADS);
var<workgroup> pool: array<vec4<u32>, POOL>;

// Where eight i of a slice at depth 0 begins in A or B, in elements of the binding. Rows beyond the matrix repeat others.
fn originA(tile: Tile, i: u32) -> u32 {
  let down = i / LONG_A;
  let eight = i % LONG_A;
  if (LAYOUT == 2u) { return (tile.a + down * p.lda + min(tile.row + eight * 8u, p.m - UNIT)) / UNIT; }
  let row = tile.row + down + eight / (BK / 8u) * (BM / FOLD_A);
  return (tile.a + min(row, p.m - 1u) * p.lda + eight % (BK / 8u) * 8u) / UNIT;
}

fn originB(tile: Tile, i: u32) -> u32 {
  let down = i / LONG_B;
  let eight = i % LONG_B;
  if (LAYOUT != 1u) { return (tile.b + down * p.ldb + min(tile.col + eight * 8u, p.n - UNIT)) / UNIT; }
  let col = tile.col + down + eight / (BK / 8u) * (BN / FOLD_B);
  return (tile.b + min(col, p.n - 1u) * p.ldb + eight % (BK / 8u) * 8u) / UNIT;
}

// How much further eights of the slice at depth `base` begin, and the last element that this split of the tile's matrices has.
fn alongA(base: u32) -> u32 { return base * select(1u, p.lda, LAYOUT == 2u) / UNIT; }
fn alongB(base: u32) -> u32 { return base * select(p.ldb, 1u, LAYOUT == 1u) / UNIT; }
fn lastA(tile: Tile) -> u32 {
  return (tile.a + select((p.m - 1u) * p.lda + tile.end, (tile.end - 1u) * p.lda + p.m, LAYOUT == 2u) - 1u) / UNIT;
}
fn lastB(tile: Tile) -> u32 {
  return (tile.b + select((tile.end - 1u) * p.ldb + p.n, (p.n - 1u) * p.ldb + tile.end, LAYOUT == 1u) - 1u) / UNIT;
}

// Eight i of A or B where it begins before `rest`, what is left of k.
fn insideA(x: vec4<u32>, i: u32, rest: u32) -> vec4<u32> {
  if (LAYOUT == 2u) { return select(vec4<u32>(), x, i / LONG_A < rest); }
  return halves(x, i % LONG_A % (BK / 8u) * 8u, rest);
}

fn insideB(y: vec4<u32>, i: u32, rest: u32) -> vec4<u32> {
  if (LAYOUT != 1u) { return select(vec4<u32>(), y, i / LONG_B < rest); }
  return halves(y, i % LONG_B % (BK / 8u) * 8u, rest);
}

fn halves(eight: vec4<u32>, depth: u32, rest: u32) -> vec4<u32> {
  let inside = vec2(depth, depth + 4u) < vec2(rest);
  return select(vec4<u32>(), eight, inside.xxyy);
}

// Where op(A)'s matrix at (row, depth) of a slice begins, and op(B)'s at (depth, col).
fn placeA(row: u32, depth: u32) -> u32 {
  if (LAYOUT == 2u) { return depth * STRIDE_A + row / 8u; }
  return row % (BM / FOLD_A) * STRIDE_A + row / (BM / FOLD_A) * (BK / 8u) + depth / 8u;
}

fn placeB(depth: u32, col: u32) -> u32 {
  if (LAYOUT != 1u) { return SLICE_A + depth * STRIDE_B + col / 8u; }
  return SLICE_A + col % (BN / FOLD_B) * STRIDE_B + col / (BN / FOLD_B) * (BK / 8u) + depth / 8u;
}

// Four sums of a row of matrices whose first is at (row, col) of C: where they go, in fours, and what they are.
fn quadAt(tile: Tile, corner: vec2<u32>, e: u32) -> u32 {
  return (tile.c + (corner.x + e / QUADS) * p.ldc + corner.y) / 4u + e % QUADS;
}

fn sumAt(first: u32, e: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>(pool[first + e / QUADS * ACROSS + e % QUADS]);
}

// A row of matrices that may reach beyond C.
fn finishEdge(tile: Tile, corner: vec2<u32>, first: u32, lane: u32) {
  for (var e = lane; e < MM * QUADS; e += SUBGROUP) {
    let at = quadAt(tile, corner, e);
    if (corner.x + e / QUADS < p.m && corner.y + e % QUADS * 4u < p.n) {
      finish(at, sumAt(first, e), biasOf(corner.y / 4u + e % QUADS), auxOf(at));
    }
  }
}
