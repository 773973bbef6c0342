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
const MATRIX = TILE * STRIDE; // one matrix's rows of a tile
const PER = (TILE * LONG + WG - 1u) / WG; // eights of them that a thread stages
const OWN = (BLOCK * LONG + WG - 1u) / WG; // and of the workgroup's own rows
const PASSES = (OWN + 5u) / 6u; // at most six at once: what is written out takes long to build
const BATCH = (OWN + PASSES - 1u) / PASSES;
const NS = TILE / MN; // matrices along a tile's scores
const STORED = NS * RM;
const CHUNKS = TILE / MK; // the same as an operand
const HOLDS = TILE / 4u / PARTS; // fours of scores that a thread has between products
const HALVES = HOLDS / 2u;
const SHARED = PARTS > CHUNKS; // two threads have MK scores of a row between them
const EIGHTS = MK / 8u;
const FOURS = MK / 4u;
const SCORES = TILE / 4u + 1u; // from row to row of scores (f32), in whose place f16 of the next operands come, MK in the place of MK
const GROUP = min(ACROSS, (POOL / BLOCK - 1u) / (MN / 4u)); // matrices of sums that go out at once, through all of the memory
const OUTS = GROUP * MN / 4u + 1u;
// How far matrices reach from where they begin.
const REACH_NT = (MN - 1u) * STRIDE + EIGHTS; // along the depth, columns of what is multiplied
const REACH_NN = (MK - 1u) * STRIDE + MN / 8u;
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sum = subgroup_matrix_result<f32, MN, MM>;
var<workgroup> pool: array<vec4<u32>, POOL>;

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

// Eight i of this thread in a tile; a thread that has none loads the first one again.
fn eightOf(t: u32, i: u32) -> u32 { return select(0u, t + i * WG, TILE * LONG % WG == 0u || t + i * WG < TILE * LONG); }

// Puts eight i of this thread where it belongs in a tile at `at`.
fn put(at: u32, t: u32, i: u32, eight: vec4<u32>) {
  let e = t + i * WG;
  if (TILE * LONG % WG == 0u || e < TILE * LONG) { pool[at + e / LONG * STRIDE + e % LONG] = eight; }
}

// The same among the workgroup's own rows.
fn putOwn(at: u32, t: u32, i: u32, eight: vec4<u32>) {
  let e = t + i * WG;
  if (e < BLOCK * LONG) { pool[at + e / LONG * STRIDE + e % LONG] = eight; }
}
