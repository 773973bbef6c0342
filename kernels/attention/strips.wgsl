// Strips of rows as subgroup matrices against tiles of rows in workgroup memory: what the knobs of the matrix kernels imply.
const ROWS = STRIPS * MM;
const WG = STRIPS * LANES;
const PARTS = LANES / MM; // threads that share a row between the products
const DEPTH = WIDE / MK; // matrices along a row as an operand
const ACROSS = WIDE / MN; // matrices along a row of sums
// From row to row, in vec4s, of a tile, of scores (f32) and of weights (f16): 16 bytes over spread them over the banks.
const STRIDE = WIDE / 4u + 2u;
const SCORES = TILE / 4u + 1u;
const WEIGHTS = TILE / 4u + 2u;
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sum = subgroup_matrix_result<f32, MN, MM>;

// Where row `token` of q (0), k (1) or v (2) starts in qkv, in vec4s.
fn rowAt(wg: vec3<u32>, token: u32, which: u32) -> u32 {
  return (((wg.z * p.tokens + token) * 3u + which) * p.heads + wg.y) * (DIM / 4u);
}

// Where row `token` starts in o and dO.
fn oAt(wg: vec3<u32>, token: u32) -> u32 {
  return ((wg.z * p.tokens + token) * p.heads + wg.y) * (DIM / 4u);
}
