// o = softmax(scale q k^T) v of every head on subgroup matrices, and each row's log-sum-exp. A workgroup owns STRIPS strips of
// query rows, a strip a subgroup, held as f16 matrices; tiles of k and v go through workgroup memory as f16, sums are f32.
// Matrices give no access to elements: scores go through workgroup memory, where threads replace them by their weights, and
// the sums stay in their matrices. An online softmax would rescale them with every tile; here a row's weights are relative
// to its largest score of the first tile, until one is 2^SLACK times as large: only then all sums go through memory.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const DIM = 64u; // knob: head dimension, a multiple of 4
const WIDE = 64u; // knob: DIM rounded up to a multiple of MN and MK
const MM = 8u; // knob: rows of a product of subgroup matrices
const MN = 8u; // knob: its columns, a multiple of 8
const MK = 8u; // knob: its depth, a multiple of 8
const STRIPS = 2u; // knob: strips of query rows
const RM = 1u; // knob: matrices down a strip
const LANES = 32u; // knob: threads a strip, a multiple of its rows, no fewer than the largest subgroup; smaller ones repeat each other's work
const TILE = 16u; // knob: keys a tile, a multiple of MN and MK
const ONCE = false; // knob: a tile holds all keys
const STAGES = 2u; // knob: tiles in workgroup memory; 2 take two barriers a tile, 1 four; 2 where a subgroup has LANES threads
alias Vector = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Vector>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<Vector>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

const VALUES = TILE * STRIDE; // of a stage; keys are at 0
const SCORE = STAGES * STAGE;
const POOL = max(SCORE + BLOCK * SCORES, BLOCK * STRIDE);
var<workgroup> pool: array<vec4<u32>, POOL>;
var<workgroup> grew: atomic<u32>;

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  // The remainder here, and every min() about a matrix's place, change nothing but show the compiler that no matrix is out of
  // bounds: where it must check, strides are no constants any more, and loads take several times as long (gemm.md).
  let strip = subgroupBroadcastFirst(t) / LANES % STRIPS;
  let row = t / LANES * ROWS + t % ROWS;
  let part = t % LANES / ROWS;
  let scale = p.scale * 1.4426950408889634;
  var q: array<Left, HELD>; // registers
  var sum: array<Sum, SUMS>; // registers
  var ahead: array<vec4<u32>, PER>; // registers
  for (var i = 0u; i < PER; i++) { // unroll
    ahead[i] = fetchTile(wg, 0u, t, i);
  }
  stageOwn(wg, t);
  workgroupBarrier();
  for (var k = 0u; k < HELD; k++) { // unroll
    q[k] = subgroupMatrixLoad<Left, row_major>(&pool, strip * ROWS * STRIDE + k / DEPTH * MM * STRIDE + k % DEPTH * EIGHTS, STRIDE);
  }
  workgroupBarrier();
  for (var i = 0u; i < PER; i++) { // unroll
    put(0u, t, i, ahead[i]);
  }
  workgroupBarrier();
  if (!ONCE) {
    for (var i = 0u; i < PER; i++) { // unroll
      ahead[i] = fetchTile(wg, TILE, t, i);
    }
  }
  var softmax = Softmax(NONE, 0.0);
  var stage = 0u;
  for (var first = 0u; first < p.tokens; first += TILE) {
    for (var n = 0u; n < TILE; n += MN) {
      let start = min(stage + n * STRIDE, POOL - REACH_NT);
      var s: array<Sum, RM>; // registers
      for (var i = 0u; i < RM; i++) { // unroll
        s[i] = Sum(); // a variable that is declared in a loop is not emptied a turn
      }
      for (var k = 0u; k < DEPTH; k++) { // unroll
        let r = subgroupMatrixLoad<Right, col_major>(&pool, start + k * EIGHTS, STRIDE);
        for (var i = 0u; i < RM; i++) { // unroll
          s[i] = subgroupMatrixMultiplyAccumulate(q[i * DEPTH + k], r, s[i]);
        }
      }
      for (var i = 0u; i < RM; i++) { // unroll
        subgroupMatrixStore<row_major>(&pool, min(SCORE + (strip * ROWS + i * MM) * SCORES + n / 4u, POOL - REACH_S), s[i], SCORES);
      }
    }
    workgroupBarrier();
    if (STAGES == 2u && !ONCE) {
      for (var i = 0u; i < PER; i++) { // unroll
        put(STAGE - stage, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + 2u * TILE, t, i);
      }
    }
    let turned = weigh(softmax, SCORE + row * SCORES, part, first);
    let shrink = exp2(softmax.top - turned.top);
    softmax = turned;
    if (ONCE || first == 0u) { workgroupBarrier(); }
    else if (workgroupUniformLoad(&grew) != 0u) {
      let spare = min(stage + strip % TURN * SPARE, POOL - SPARE);
      for (var turn = 0u; turn < STRIPS; turn += TURN) {
        let mine = strip / TURN == turn / TURN;
        for (var n = 0u; n < ACROSS; n++) { // unroll
          for (var i = 0u; i < RM; i++) { // unroll
            if (mine) { subgroupMatrixStore<row_major>(&pool, spare, sum[i * ACROSS + n], MN / 4u + 1u); }
            workgroupBarrier();
            if (mine && t % ROWS / MM == i) { multiply(spare + t % MM * (MN / 4u + 1u), part, shrink); }
            workgroupBarrier();
            if (mine) { sum[i * ACROSS + n] = subgroupMatrixLoad<Sum, row_major>(&pool, spare, MN / 4u + 1u); }
            workgroupBarrier();
          }
        }
      }
      if (t == 0u) { atomicStore(&grew, 0u); }
    }
    for (var k = 0u; k < TILE; k += MK) {
      let start = min(stage + VALUES + k * STRIDE, POOL - REACH_NN);
      var w: array<Left, RM>; // registers
      for (var i = 0u; i < RM; i++) { // unroll
        w[i] = subgroupMatrixLoad<Left, row_major>(&pool, min(SCORE + (strip * ROWS + i * MM) * SCORES + k / 4u, POOL - REACH_S), SCORES);
      }
      for (var n = 0u; n < ACROSS; n++) { // unroll
        let r = subgroupMatrixLoad<Right, row_major>(&pool, start + n * MN / 8u, STRIDE);
        for (var i = 0u; i < RM; i++) { // unroll
          sum[i * ACROSS + n] = subgroupMatrixMultiplyAccumulate(w[i], r, sum[i * ACROSS + n]);
        }
      }
    }
    if (STAGES == 1u && !ONCE) {
      workgroupBarrier();
      for (var i = 0u; i < PER; i++) { // unroll
        put(0u, t, i, ahead[i]);
        ahead[i] = fetchTile(wg, first + 2u * TILE, t, i);
      }
      workgroupBarrier();
    }
    if (STAGES == 2u) { stage = STAGE - stage; }
  }
  workgroupBarrier();
  keepTotal(wg, row, part, softmax);
  for (var n = 0u; n < ACROSS; n++) { // unroll
    for (var i = 0u; i < RM; i++) { // unroll
      subgroupMatrixStore<row_major>(
        &pool, SCORE + strip * ROWS * SCORES + i * MM * SCORES + n % GROUP * MN / 4u, sum[i * ACROSS + n], SCORES);
    }
    if (n % GROUP == GROUP - 1u || n == ACROSS - 1u) {
      workgroupBarrier();
      writeRows(wg, t, n / GROUP * TILE);
      workgroupBarrier();
    }
  }
}
