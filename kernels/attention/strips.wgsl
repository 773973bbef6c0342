// Strips of rows as subgroup matrices against tiles of rows in workgroup memory: what the knobs of the matrix kernels imply.
// A strip belongs to a subgroup; in between products PARTS threads share each of its rows. Workgroup memory is one array of
// whole 16 bytes, as drivers like to load matrices from best; offsets and strides of matrices count these. Rows lie
// 16 bytes further apart than they are long, so that a matrix's rows meet different banks.
const ROWS = RM * MM; // of a strip
const BLOCK = STRIPS * ROWS;
const WG = STRIPS * LANES;
const PARTS = LANES / ROWS;
const DEPTH = WIDE / MK; // matrices along a row as an operand
const ACROSS = WIDE / MN; // matrices along a row of sums
const HELD = RM * DEPTH;
const SUMS = RM * ACROSS;
const LONG = WIDE / 8u; // of a row of f16
const STRIDE = LONG + 1u;
const STAGE = 2u * TILE * STRIDE; // two matrices' rows of a tile
const PER = (TILE * LONG + WG - 1u) / WG * 2u; // eights of them that a thread stages, of the one and of the other in turn
const CHUNKS = TILE / MK / PARTS; // of MK scores each, of a row that a thread has between the products
const FOURS = MK / 4u;
const HOLDS = CHUNKS * FOURS;
const SCORES = TILE / 4u + 1u; // from row to row of scores (f32), a row's total last; weights (f16) take the first half of each MK of them
const GROUP = TILE / MN; // matrices of sums that go out through the place of a strip's scores at once
const EIGHTS = MK / 8u;
// How far matrices reach from where they begin.
const REACH_NT = (MN - 1u) * STRIDE + LONG; // a row of matrices along the depth, columns of what is multiplied
const REACH_NN = (MK - 1u) * STRIDE + LONG;
const REACH_S = (MM - 1u) * SCORES + max(MN / 4u, MK / 8u);
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sum = subgroup_matrix_result<f32, MN, MM>;

// Where row `token` of q (0), k (1) or v (2) starts in qkv, in numbers. Past the last row it is the last one's.
fn rowAt(wg: vec3<u32>, token: u32, which: u32) -> u32 {
  return (((wg.z * p.tokens + min(token, p.tokens - 1u)) * 3u + which) * p.heads + wg.y) * DIM;
}

// Where row `token` starts in o and dO.
fn oAt(wg: vec3<u32>, token: u32) -> u32 {
  return ((wg.z * p.tokens + min(token, p.tokens - 1u)) * p.heads + wg.y) * DIM;
}

// Two vec4s as f16 in 16 bytes.
fn halves(low: vec4<f32>, high: vec4<f32>) -> vec4<u32> {
  return vec4<u32>(bitcast<vec2<u32>>(vec4<f16>(low)), bitcast<vec2<u32>>(vec4<f16>(high)));
}

// The column, in numbers, of the one or two elements that hold an eight of a row; and that eight, zeros past the row's end.
// Loads are never behind an `if`: that took NVIDIA twice as long (gemm.md).
fn columns(eight: u32) -> vec2<u32> {
  if (DIM == WIDE) { return vec2<u32>(8u * eight, 8u * eight + 4u); }
  return min(vec2<u32>(8u * eight, 8u * eight + 4u), vec2<u32>(DIM - 4u));
}

fn within(eight: u32, value: vec4<u32>) -> vec4<u32> {
  if (DIM == WIDE) { return value; }
  let inside = vec2<u32>(8u * eight, 8u * eight + 4u) < vec2<u32>(DIM);
  return select(vec4<u32>(), value, inside.xxyy);
}

// 16 bytes of row `token` of q (0), k (1) or v (2) as f16, zeros past the end of the row.
fn fetch(wg: vec3<u32>, token: u32, which: u32, eight: u32) -> vec4<u32> {
  let at = (vec2<u32>(rowAt(wg, token, which)) + columns(eight)) / EACH;
  return within(eight, join(qkv[at.x], qkv[at.y]));
}

// Where eight i of this thread lies in a tile of eights.
fn eightOf(t: u32, i: u32) -> u32 { return t + i / 2u * WG; }

// Puts eight i of a tile at `stage` where it belongs.
fn put(stage: u32, t: u32, i: u32, eight: vec4<u32>) {
  let e = eightOf(t, i);
  if (TILE * LONG % WG == 0u || e < TILE * LONG) {
    pool[stage + i % 2u * TILE * STRIDE + e / LONG * STRIDE + e % LONG] = eight;
  }
}
