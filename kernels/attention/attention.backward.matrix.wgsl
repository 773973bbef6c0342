// The gradient of q, k and v on subgroup matrices, from recomputed probabilities, every row of dqkv written by one owner.
// Two roles in one dispatch, alike but for names, as in attention.backward: a workgroup owns STRIPS strips of rows of q and
// dO (or of k and v), a strip a subgroup, held as f16 matrices, and goes over tiles of the other side in workgroup memory.
// Scores and then, in their place, dP go through workgroup memory, where threads replace them by P and dS as f16, what the
// next products take; sums are f32, and scale is applied to them.
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
const LANES = 32u; // knob: threads a strip, one or two times its rows, no fewer than the largest subgroup; smaller ones repeat each other's work
const ALONE = true; // knob: all subgroups have LANES threads
const TILE = 16u; // knob: rows a tile, a multiple of MN and MK
const STAGES = 2u; // knob: tiles in workgroup memory; 2 take two barriers less a tile
alias Vector = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Vector>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Vector>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Vector>; // (batch, tokens, 3, heads, dim)

const SCORE = STAGES * PAIR * MATRIX;
const KEPT = STAGES * TILE;
const POOL = max(SCORE + BLOCK * SCORES, PAIR * BLOCK * STRIDE);

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let strip = subgroupBroadcastFirst(t) / LANES % STRIPS; // the remainder, and every min() about a matrix's place: as in forward
  let row = t / LANES * ROWS + t % ROWS;
  let part = t % LANES / ROWS;
  let scores = min(SCORE + strip * ROWS * SCORES, POOL - ROWS * SCORES);
  let mine = SCORE + row * SCORES + part * HOLDS;
  let blocks = (p.tokens + BLOCK - 1u) / BLOCK;
  let keys = wg.x >= blocks; // the role: owner of rows of k and v
  let start = wg.x % blocks * BLOCK;
  let own = saved(wg, start + row);
  var owned: array<Left, OWNED>; // registers
  var sum: array<Sum, SUMMED>; // registers
  var ahead: array<vec4<u32>, AHEAD>; // registers
  for (var i = 0u; i < AHEAD; i++) { // unroll
    ahead[i] = fetchTile(wg, 0u, keys, t, i);
  }
  stageOwn(wg, t, start, keys);
  workgroupBarrier();
  for (var k = 0u; k < OWNED; k++) { // unroll
    let at = k / HELD * BLOCK * STRIDE + strip * ROWS * STRIDE + k % HELD / DEPTH * MM * STRIDE + k % DEPTH * EIGHTS;
    owned[k] = subgroupMatrixLoad<Left, row_major>(&pool, at, STRIDE);
  }
  for (var first = 0u; first < p.tokens; first += TILE) {
    let turn = first / TILE % STAGES;
    let stage = turn * PAIR * MATRIX;
    if (first == 0u || STAGES == 1u) {
      workgroupBarrier();
      for (var i = 0u; i < AHEAD; i++) { // unroll
        putTile(0u, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + TILE, keys, t, i);
      }
      if (keys) { keepTile(wg, t, first, 0u); }
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
          for (var i = 0u; i < RM; i++) { // unroll
            made[r * STORED + n * RM + i] = subgroupMatrixMultiplyAccumulate(owned[r * HELD + i * DEPTH + k], x, made[r * STORED + n * RM + i]);
          }
        }
      }
    }
    var weights: array<vec4<f32>, HOLDS>; // registers
    var gradients: array<vec4<f32>, HOLDS>; // registers
    for (var r = 0u; r < PAIR; r++) { // unroll
      for (var n = 0u; n < NS; n++) { // unroll
        for (var i = 0u; i < RM; i++) { // unroll
          subgroupMatrixStore<row_major>(&pool, scores + i * MM * SCORES + n * MN / 4u, made[r * STORED + n * RM + i], SCORES);
        }
      }
      workgroupBarrier();
      if (r == 0u && STAGES == 2u) {
        for (var i = 0u; i < AHEAD; i++) { // unroll
          putTile((1u - turn) * PAIR * MATRIX, t, i, ahead[i]);
          ahead[i] = fetchTile(wg, first + 2u * TILE, keys, t, i);
        }
        if (keys) { keepTile(wg, t, first + TILE, (1u - turn) * TILE); }
      }
      for (var j = 0u; j < HOLDS; j++) { // unroll
        let four = part * HOLDS + j;
        if (r == 0u) { weights[j] = power(mine + j, select(vec4<f32>(own.x), keptLses(turn * TILE + 4u * four), keys), first + 4u * four, first + TILE > p.tokens); }
        else { gradients[j] = weights[j] * (bitcast<vec4<f32>>(pool[mine + j]) - select(vec4<f32>(own.y), keptDeltas(turn * TILE + 4u * four), keys)); }
      }
      if (r == 0u) { workgroupBarrier(); }
    }
    for (var j = 0u; j < HALVES; j++) { // unroll
      replace(mine, part, j, halves(weights[2u * j], weights[2u * j + 1u]), halves(gradients[2u * j], gradients[2u * j + 1u]));
    }
    workgroupBarrier();
    for (var c = 0u; c < CHUNKS; c++) { // unroll
      let place = min(stage + c * MK * STRIDE, SCORE - MATRIX - MK * STRIDE);
      for (var r = 0u; r < PAIR; r++) { // unroll
        if (r == 0u || keys) {
          for (var i = 0u; i < RM; i++) { // unroll
            let w = subgroupMatrixLoad<Left, row_major>(&pool, scores + i * MM * SCORES + c * FOURS + (1u - r) * EIGHTS, SCORES);
            for (var n = 0u; n < ACROSS; n++) { // unroll
              let x = subgroupMatrixLoad<Right, row_major>(&pool, place + r * MATRIX + n * MN / 8u, STRIDE);
              sum[r * SUMS + i * ACROSS + n] = subgroupMatrixMultiplyAccumulate(w, x, sum[r * SUMS + i * ACROSS + n]);
            }
          }
        }
      }
    }
    if (STAGES == 2u && !ALONE) { workgroupBarrier(); }
  }
  let place = min(strip * ROWS * OUTS, POOL - ROWS * OUTS);
  for (var r = 0u; r < PAIR; r++) { // unroll
    if (r == 1u && !keys) { return; }
    for (var n = 0u; n < ACROSS; n++) { // unroll
      if (n % GROUP == 0u) { workgroupBarrier(); }
      for (var i = 0u; i < RM; i++) { // unroll
        subgroupMatrixStore<row_major>(&pool, place + i * MM * OUTS + n % GROUP * MN / 4u, sum[r * SUMS + i * ACROSS + n], OUTS);
      }
      if (n % GROUP == GROUP - 1u || n == ACROSS - 1u) {
        workgroupBarrier();
        writeRows(wg, t, start, select(0u, 1u + r, keys), n / GROUP * GROUP * MN, select(1.0, p.scale, r == 0u));
      }
    }
  }
}
