// Slices of A and B as f16 in workgroup memory, as they lie in the matrices: fetched in eights, loaded as subgroup matrices.
// Staged rows lie 16 bytes further apart than they are long, so that a matrix's rows meet different banks. One array for
// all: the slices, and later the sums. Of whole 16 bytes, for drivers load matrices the faster the more they know of the
// alignment; offsets and strides of matrices count these.
const LONG_A = select(BK, BM, LAYOUT == 2u) / 8u;
const LONG_B = select(BN, BK, LAYOUT == 1u) / 8u;
const STRIDE_A = LONG_A + 1u;
const STRIDE_B = LONG_B + 1u;
const SLICE_A = BM * BK / 8u / LONG_A * STRIDE_A;
const SLICE = SLICE_A + BN * BK / 8u / LONG_B * STRIDE_B;
const ACROSS = RN * MN / 4u + 2u; // of a row of a subgroup's sums
// How far a subgroup's matrices of one depth reach from where the first of them begins.
const REACH_A = select((RM * MM - 1u) * STRIDE_A + MK / 8u, (MK - 1u) * STRIDE_A + RM * MM / 8u, LAYOUT == 2u);
const REACH_B = select((MK - 1u) * STRIDE_B + RN * MN / 8u, (RN * MN - 1u) * STRIDE_B + MK / 8u, LAYOUT == 1u);
const POOL = max(max(STAGES * SLICE, SM * SN * MM * ACROSS), 2u * THREADS);
const SUMMING = THREADS / LONG_A * LONG_A; // threads that sum rows for dbias: so many that each keeps to eight of them
var<workgroup> pool: array<vec4<u32>, POOL>;

// Eight i of the slice of A at base. Rows beyond the matrix repeat others, depths beyond are 0; loads behind an `if` took
// NVIDIA twice as long (gemm.md).
fn fetchA(tile: Tile, base: u32, i: u32) -> vec4<u32> {
  if (LAYOUT == 2u) {
    let depth = base + i / LONG_A;
    let at = tile.a + min(depth, tile.end - 1u) * p.lda;
    let along = tile.row + i % LONG_A * 8u;
    return select(vec4<u32>(), eightA(at + min(along, p.m - 4u), at + min(along + 4u, p.m - 4u)), depth < tile.end);
  }
  let depth = base + i % LONG_A * 8u;
  let at = tile.a + min(tile.row + i / LONG_A, p.m - 1u) * p.lda;
  return inside(eightA(at + min(depth, tile.end - 4u), at + min(depth + 4u, tile.end - 4u)), depth, tile.end);
}

fn fetchB(tile: Tile, base: u32, i: u32) -> vec4<u32> {
  if (LAYOUT == 1u) {
    let depth = base + i % LONG_B * 8u;
    let at = tile.b + min(tile.col + i / LONG_B, p.n - 1u) * p.ldb;
    return inside(eightB(at + min(depth, tile.end - 4u), at + min(depth + 4u, tile.end - 4u)), depth, tile.end);
  }
  let depth = base + i / LONG_B;
  let at = tile.b + min(depth, tile.end - 1u) * p.ldb;
  let along = tile.col + i % LONG_B * 8u;
  return select(vec4<u32>(), eightB(at + min(along, p.n - 4u), at + min(along + 4u, p.n - 4u)), depth < tile.end);
}

fn inside(eight: vec4<u32>, depth: u32, end: u32) -> vec4<u32> {
  let halves = vec2(depth, depth + 4u) < vec2(end);
  return select(vec4<u32>(), eight, halves.xxyy);
}

// Where op(A)'s matrix at (row, depth) of a slice begins, and op(B)'s at (depth, col).
fn placeA(row: u32, depth: u32) -> u32 {
  return select(row * STRIDE_A + depth / 8u, depth * STRIDE_A + row / 8u, LAYOUT == 2u);
}

fn placeB(depth: u32, col: u32) -> u32 {
  return SLICE_A + select(depth * STRIDE_B + col / 8u, col * STRIDE_B + depth / 8u, LAYOUT == 1u);
}

// The sums over k of op(A)'s rows in this tile: every thread holds those of eight rows over some of the depths.
fn sumRows(tile: Tile, t: u32, low: vec4<f32>, high: vec4<f32>) {
  pool[2u * t] = bitcast<vec4<u32>>(low);
  pool[2u * t + 1u] = bitcast<vec4<u32>>(high);
  workgroupBarrier();
  for (var i = t; i < BM; i += THREADS) {
    var sum = 0.0;
    for (var s = i / 8u; s < SUMMING; s += LONG_A) { sum += bitcast<f32>(pool[2u * s + i % 8u / 4u][i % 4u]); }
    if (tile.row + i < p.m) { dbias[tile.d + tile.row + i] = sum; }
  }
  workgroupBarrier();
}
