// The gradient of q, k and v on subgroup matrices where one workgroup has room for all keys of a head: every product once, five instead of seven.
// A subgroup owns a strip of keys, k and v of it held as f16 matrices; tiles of q and dO go through workgroup memory. Scores
// (rows are keys, columns are rows of q) and then dP go through it, too, where threads replace them by P and dS as f16.
// dk and dv stay with their strip; dq of a tile needs dS of all strips, and k of all rows: its matrices are given to the
// subgroups in turn, and go out while the next tile is worked on.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const DIM = 64u; // knob: head dimension, a multiple of 4
const WIDE = 64u; // knob: DIM rounded up to a multiple of MN and MK
const MM = 8u; // knob: rows of a product of subgroup matrices
const MN = 8u; // knob: its columns, a multiple of 8
const MK = 8u; // knob: its depth, MM
const STRIPS = 2u; // knob: strips of MM keys, all of them
const LANES = 32u; // knob: threads of every subgroup, one or two times MM
const TILE = 16u; // knob: rows of q and dO a tile, a multiple of MN and MK
const STAGES = 2u; // knob: tiles in workgroup memory; 2 take one barrier less a tile
alias Vector = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Vector>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Vector>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Vector>; // (batch, tokens, 3, heads, dim)

const RM = 1u;
const QUERIES = BLOCK * STRIDE; // keys are at 0
const SCORE = QUERIES + STAGES * PAIR * MATRIX;
const DQ = SCORE + BLOCK * SCORES; // matrices of sums, one after the other
const REACH_S = (MM - 1u) * SCORES + MM / 8u;
const KEPT = (BLOCK + TILE - 1u) / TILE * TILE; // all rows
const POOL = max(DQ + DQS * MM * DQROW, PAIR * BLOCK * STRIDE);

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let strip = subgroupBroadcastFirst(t) / LANES % STRIPS; // the remainder, and every min() about a matrix's place: as in forward
  let key = t / LANES * MM + t % MM;
  let part = t % LANES / MM;
  let scores = min(SCORE + strip * MM * SCORES, DQ - MM * SCORES);
  let mine = SCORE + key * SCORES + part * HOLDS;
  let row = saved(wg, t);
  var owned: array<Left, OWNED>; // registers
  var sum: array<Sum, SUMMED>; // registers
  var ahead: array<vec4<u32>, AHEAD>; // registers
  for (var i = 0u; i < AHEAD; i++) { // unroll
    ahead[i] = fetchTile(wg, 0u, true, t, i);
  }
  stageOwn(wg, t, 0u, true);
  for (var e = t; e < KEPT; e += WG) { keep(e, row); } // past the last strip anything finite: it meets zeros, and memory may hold NaN (--unchecked)
  workgroupBarrier();
  for (var k = 0u; k < OWNED; k++) { // unroll
    owned[k] = subgroupMatrixLoad<Left, row_major>(&pool, k / HELD * BLOCK * STRIDE + strip * MM * STRIDE + k % HELD * EIGHTS, STRIDE);
  }
  for (var first = 0u; first < p.tokens; first += TILE) {
    let turn = first / TILE;
    let stage = QUERIES + turn % STAGES * PAIR * MATRIX;
    if (first == 0u || STAGES == 1u) {
      workgroupBarrier();
      for (var i = 0u; i < AHEAD; i++) { // unroll
        putTile(QUERIES, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + TILE, true, t, i);
      }
      workgroupBarrier();
    }
    var made: array<Sum, MADE>; // registers
    for (var i = 0u; i < MADE; i++) { // unroll
      made[i] = Sum(); // a variable that is declared in a loop is not emptied a turn
    }
    for (var k = 0u; k < DEPTH; k++) { // unroll
      for (var n = 0u; n < NS; n++) { // unroll
        let at = min(stage + n * MN * STRIDE + k * EIGHTS, SCORE - MATRIX - REACH_NT);
        for (var r = 0u; r < PAIR; r++) { // unroll
          let x = subgroupMatrixLoad<Right, col_major>(&pool, at + r * MATRIX, STRIDE);
          made[r * STORED + n] = subgroupMatrixMultiplyAccumulate(owned[r * HELD + k], x, made[r * STORED + n]);
        }
      }
    }
    if (STAGES == 2u) { workgroupBarrier(); } // other subgroups are past this strip's dS
    var weights: array<vec4<f32>, HOLDS>; // registers
    var gradients: array<vec4<f32>, HOLDS>; // registers
    for (var r = 0u; r < PAIR; r++) { // unroll
      for (var n = 0u; n < NS; n++) { // unroll
        subgroupMatrixStore<row_major>(&pool, scores + n * MN / 4u, made[r * STORED + n], SCORES);
      }
      if (r == 1u && first > 0u) { writeDq(wg, t, turn - 1u); }
      workgroupBarrier();
      for (var j = 0u; j < HOLDS; j++) { // unroll
        let four = part * HOLDS + j;
        if (r == 0u) { weights[j] = select(vec4<f32>(), power(mine + j, keptLses(first + 4u * four), first + 4u * four, true), key < p.tokens); }
        else { gradients[j] = weights[j] * (bitcast<vec4<f32>>(pool[mine + j]) - keptDeltas(first + 4u * four)); }
      }
      if (r == 0u) { workgroupBarrier(); }
    }
    if (STAGES == 2u) {
      for (var i = 0u; i < AHEAD; i++) { // unroll
        putTile(QUERIES + (turn + 1u) % 2u * PAIR * MATRIX, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + 2u * TILE, true, t, i);
      }
    }
    for (var j = 0u; j < HALVES; j++) { // unroll
      replace(mine, part, j, halves(weights[2u * j], weights[2u * j + 1u]), halves(gradients[2u * j], gradients[2u * j + 1u]));
    }
    workgroupBarrier();
    for (var c = 0u; c < CHUNKS; c++) { // unroll
      let place = min(stage + c * MK * STRIDE, SCORE - MATRIX - MK * STRIDE);
      for (var r = 0u; r < PAIR; r++) { // unroll
        let w = subgroupMatrixLoad<Left, row_major>(&pool, scores + c * FOURS + (1u - r) * EIGHTS, SCORES);
        for (var n = 0u; n < ACROSS; n++) { // unroll
          let x = subgroupMatrixLoad<Right, row_major>(&pool, place + r * MATRIX + n * MN / 8u, STRIDE);
          sum[r * SUMS + n] = subgroupMatrixMultiplyAccumulate(w, x, sum[r * SUMS + n]);
        }
      }
    }
    for (var o = onDuty(strip, turn); o < DQS; o += STRIPS) {
      var dq = Sum();
      for (var j = 0u; j < STRIPS; j++) {
        let w = subgroupMatrixLoad<Left, col_major>(&pool, min(SCORE + j * MM * SCORES + o / ACROSS * FOURS + EIGHTS, DQ - REACH_S), SCORES);
        let x = subgroupMatrixLoad<Right, row_major>(&pool, min(j * MM * STRIDE + o % ACROSS * MN / 8u, QUERIES - REACH_NN), STRIDE);
        dq = subgroupMatrixMultiplyAccumulate(w, x, dq);
      }
      subgroupMatrixStore<row_major>(&pool, min(DQ + o * MM * DQROW, POOL - MM * DQROW), dq, DQROW);
    }
  }
  workgroupBarrier();
  writeDq(wg, t, (p.tokens - 1u) / TILE);
  let place = min(strip * MM * OUTS, POOL - MM * OUTS);
  for (var r = 0u; r < PAIR; r++) { // unroll
    for (var n = 0u; n < ACROSS; n++) { // unroll
      if (n % GROUP == 0u) { workgroupBarrier(); }
      subgroupMatrixStore<row_major>(&pool, place + n % GROUP * MN / 4u, sum[r * SUMS + n], OUTS);
      if (n % GROUP == GROUP - 1u || n == ACROSS - 1u) {
        workgroupBarrier();
        writeRows(wg, t, 0u, 1u + r, n / GROUP * GROUP * MN, select(1.0, p.scale, r == 0u));
      }
    }
  }
}
