// The gradient of q, k and v on subgroup matrices, from recomputed probabilities, every row of dqkv written by one owner.
// Two roles in one dispatch, alike but for names, as in attention.backward: a workgroup owns STRIPS strips of rows of q and
// dO (or of k and v), a strip a subgroup, held as f16 matrices, and goes over tiles of the other side in workgroup memory.
// Scores and dP go through workgroup memory, where threads replace them by P and dS as f16, what the next products take;
// sums are f32, and scale is applied to them.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const DIM = 64u; // knob: head dimension, a multiple of 4
const WIDE = 64u; // knob: DIM rounded up to a multiple of MN and MK
const MM = 8u; // knob: rows of a product of subgroup matrices
const MN = 8u; // knob: its columns, a multiple of 8
const MK = 8u; // knob: its depth, a multiple of 8
const STRIPS = 2u; // knob: strips of rows
const RM = 1u; // knob: matrices down a strip
const LANES = 32u; // knob: threads a strip, a multiple of its rows, no fewer than the largest subgroup; smaller ones repeat each other's work
const TILE = 16u; // knob: rows a tile, a multiple of MN and MK
const STAGES = 2u; // knob: tiles in workgroup memory; 2 take two barriers a tile, 1 four; 2 where a subgroup has LANES threads
const ONCE = false; // knob: a tile holds all rows
alias Vector = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Vector>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Vector>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Vector>; // (batch, tokens, 3, heads, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let strip = subgroupBroadcastFirst(t) / LANES % STRIPS; // the remainder, and every min() about a matrix's place: as in forward
  let row = t / LANES * ROWS + t % ROWS;
  let part = t % LANES / ROWS;
  let blocks = (p.tokens + BLOCK - 1u) / BLOCK;
  let keys = wg.x >= blocks; // the role: owner of rows of k and v
  let start = wg.x % blocks * BLOCK;
  let own = saved(wg, start + row);
  var qk: array<Left, HELD>; // registers
  var dov: array<Left, HELD>; // registers
  var dqk: array<Sum, SUMS>; // registers
  var dv: array<Sum, SUMS>; // registers
  var ahead: array<vec4<u32>, PER>; // registers
  for (var i = 0u; i < PER; i++) { // unroll
    ahead[i] = fetchTile(wg, 0u, keys, t, i);
  }
  stageOwn(wg, t, start, keys);
  workgroupBarrier();
  for (var k = 0u; k < HELD; k++) { // unroll
    let at = strip * ROWS * STRIDE + k / DEPTH * MM * STRIDE + k % DEPTH * EIGHTS;
    qk[k] = subgroupMatrixLoad<Left, row_major>(&pool, at, STRIDE);
    dov[k] = subgroupMatrixLoad<Left, row_major>(&pool, at + BLOCK * STRIDE, STRIDE);
  }
  workgroupBarrier();
  for (var i = 0u; i < PER; i++) { // unroll
    put(0u, t, i, ahead[i]);
  }
  if (keys) { keep(wg, t, 0u, 0u); }
  workgroupBarrier();
  if (!ONCE) {
    for (var i = 0u; i < PER; i++) { // unroll
      ahead[i] = fetchTile(wg, TILE, keys, t, i);
    }
  }
  for (var first = 0u; first < p.tokens; first += TILE) {
    let stage = first / TILE % STAGES * STAGE;
    let fours = first / TILE % STAGES * (TILE / 4u);
    for (var n = 0u; n < TILE; n += MN) {
      let place = min(stage + n * STRIDE, POOL - DOV - REACH_NT);
      var s: array<Sum, RM>; // registers
      var dp: array<Sum, RM>; // registers
      for (var i = 0u; i < RM; i++) { // unroll
        s[i] = Sum(); // a variable that is declared in a loop is not emptied a turn
        dp[i] = Sum();
      }
      for (var k = 0u; k < DEPTH; k++) { // unroll
        let x = subgroupMatrixLoad<Right, col_major>(&pool, place + k * EIGHTS, STRIDE);
        let y = subgroupMatrixLoad<Right, col_major>(&pool, place + DOV + k * EIGHTS, STRIDE);
        for (var i = 0u; i < RM; i++) { // unroll
          s[i] = subgroupMatrixMultiplyAccumulate(qk[i * DEPTH + k], x, s[i]);
          dp[i] = subgroupMatrixMultiplyAccumulate(dov[i * DEPTH + k], y, dp[i]);
        }
      }
      for (var i = 0u; i < RM; i++) { // unroll
        let at = min(SCORE + (strip * ROWS + i * MM) * SCORES + n / 4u, DP - REACH_S);
        subgroupMatrixStore<row_major>(&pool, at, s[i], SCORES);
        subgroupMatrixStore<row_major>(&pool, at + BLOCK * SCORES, dp[i], SCORES);
      }
    }
    workgroupBarrier();
    if (STAGES == 2u && !ONCE) {
      for (var i = 0u; i < PER; i++) { // unroll
        put(STAGE - stage, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + 2u * TILE, keys, t, i);
      }
      if (keys) { keep(wg, t, first + TILE, TILE / 4u - fours); }
    }
    weigh(own, keys, row, part, first, fours);
    workgroupBarrier();
    for (var k = 0u; k < TILE; k += MK) {
      let place = min(stage + k * STRIDE, POOL - DOV - REACH_NN);
      var w: array<Left, RM>; // registers
      for (var i = 0u; i < RM; i++) { // unroll
        w[i] = subgroupMatrixLoad<Left, row_major>(&pool, min(DP + (strip * ROWS + i * MM) * SCORES + k / 4u, POOL - REACH_S), SCORES);
      }
      for (var n = 0u; n < ACROSS; n++) { // unroll
        let r = subgroupMatrixLoad<Right, row_major>(&pool, place + n * MN / 8u, STRIDE);
        for (var i = 0u; i < RM; i++) { // unroll
          dqk[i * ACROSS + n] = subgroupMatrixMultiplyAccumulate(w[i], r, dqk[i * ACROSS + n]);
        }
      }
      if (keys) {
        for (var i = 0u; i < RM; i++) { // unroll
          w[i] = subgroupMatrixLoad<Left, row_major>(&pool, min(SCORE + (strip * ROWS + i * MM) * SCORES + k / 4u, POOL - REACH_S), SCORES);
        }
        for (var n = 0u; n < ACROSS; n++) { // unroll
          let r = subgroupMatrixLoad<Right, row_major>(&pool, place + DOV + n * MN / 8u, STRIDE);
          for (var i = 0u; i < RM; i++) { // unroll
            dv[i * ACROSS + n] = subgroupMatrixMultiplyAccumulate(w[i], r, dv[i * ACROSS + n]);
          }
        }
      }
    }
    if (STAGES == 1u && !ONCE) {
      workgroupBarrier();
      for (var i = 0u; i < PER; i++) { // unroll
        put(0u, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + 2u * TILE, keys, t, i);
      }
      if (keys) { keep(wg, t, first + TILE, 0u); }
      workgroupBarrier();
    }
  }
  workgroupBarrier();
  for (var n = 0u; n < ACROSS; n++) { // unroll
    for (var i = 0u; i < RM; i++) { // unroll
      let at = SCORE + strip * ROWS * SCORES + i * MM * SCORES + n % GROUP * MN / 4u;
      subgroupMatrixStore<row_major>(&pool, at, dqk[i * ACROSS + n], SCORES);
      subgroupMatrixStore<row_major>(&pool, at + BLOCK * SCORES, dv[i * ACROSS + n], SCORES);
    }
    if (n % GROUP == GROUP - 1u || n == ACROSS - 1u) {
      workgroupBarrier();
      writeRows(wg, t, start, keys, n / GROUP * TILE);
      workgroupBarrier();
    }
  }
}
