// o = softmax(scale q k^T) v of every head on subgroup matrices, and each row's log-sum-exp. A workgroup owns STRIPS strips of
// query rows, a strip a subgroup, held as f16 matrices; tiles of k and v go through workgroup memory as f16, sums are f32.
// Matrices give no access to elements: scores go through workgroup memory, where threads replace them by their weights, and
// the sums stay in their matrices. An online softmax would rescale them with every tile; here a row's weights are relative
// to its largest score of the first tile. Where a later one is 2^SLACK times as large, all keys are gone over once more.
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
const LANES = 32u; // knob: threads a strip, one or two times its rows, no fewer than the largest subgroup; smaller ones repeat each other's work
const ALONE = true; // knob: all subgroups have LANES threads
const TILE = 16u; // knob: keys a tile, a multiple of MN and MK
const ONCE = false; // knob: a tile holds all keys
alias Vector = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Vector>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<Vector>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

const VALUES = MATRIX; // keys are at 0
const SCORE = 2u * MATRIX;
const POOL = max(SCORE + BLOCK * SCORES, BLOCK * STRIDE);
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
  let scores = min(SCORE + strip * ROWS * SCORES, POOL - ROWS * SCORES);
  var q: array<Left, HELD>; // registers
  var sum: array<Sum, SUMS>; // registers
  var own: array<vec4<u32>, OWN>; // registers
  var keys: array<vec4<u32>, PER>; // registers
  var values: array<vec4<u32>, PER>; // registers
  for (var i = 0u; i < OWN; i++) { // unroll
    own[i] = fetch(wg, wg.x * BLOCK + (t + i * WG) / LONG, 0u, (t + i * WG) % LONG);
  }
  for (var i = 0u; i < PER; i++) { // unroll
    keys[i] = fetchTile(wg, 0u, 1u, t, i);
    values[i] = fetchTile(wg, 0u, 2u, t, i);
  }
  for (var i = 0u; i < OWN; i++) { // unroll
    putOwn(0u, t, i, own[i]);
  }
  workgroupBarrier();
  for (var k = 0u; k < HELD; k++) { // unroll
    q[k] = subgroupMatrixLoad<Left, row_major>(&pool, strip * ROWS * STRIDE + k / DEPTH * MM * STRIDE + k % DEPTH * EIGHTS, STRIDE);
  }
  if (t == 0u) { atomicStore(&grew, 0u); } // not every device empties it: --unchecked
  workgroupBarrier();
  var softmax = Softmax(NONE, 0.0, NONE);
  var turns = 1u;
  for (var turn = 0u; turn < min(turns, 2u); turn++) {
    for (var i = 0u; i < PER; i++) { // unroll
      put(0u, t, i, keys[i]);
    }
    workgroupBarrier();
    if (!ONCE) {
      for (var i = 0u; i < PER; i++) { // unroll
        keys[i] = fetchTile(wg, TILE, 1u, t, i);
      }
    }
    for (var first = 0u; first < p.tokens; first += TILE) {
      var s: array<Sum, STORED>; // registers
      for (var i = 0u; i < STORED; i++) { // unroll
        s[i] = Sum(); // a variable that is declared in a loop is not emptied a turn
      }
      for (var k = 0u; k < DEPTH; k++) { // unroll
        for (var n = 0u; n < NS; n++) { // unroll
          let r = subgroupMatrixLoad<Right, col_major>(&pool, n * MN * STRIDE + k * EIGHTS, STRIDE);
          for (var i = 0u; i < RM; i++) { // unroll
            s[n * RM + i] = subgroupMatrixMultiplyAccumulate(q[i * DEPTH + k], r, s[n * RM + i]);
          }
        }
      }
      for (var n = 0u; n < NS; n++) { // unroll
        for (var i = 0u; i < RM; i++) { // unroll
          subgroupMatrixStore<row_major>(&pool, scores + i * MM * SCORES + n * MN / 4u, s[n * RM + i], SCORES);
        }
      }
      workgroupBarrier();
      // All subgroups are past these keys and past the last tile's values: the next come in their place, and are there after the next barrier.
      for (var i = 0u; i < PER; i++) { // unroll
        put(VALUES, t, i, values[i]);
        if (!ONCE) {
          put(0u, t, i, keys[i]);
          values[i] = fetchTile(wg, first + TILE, 2u, t, i);
          keys[i] = fetchTile(wg, first + 2u * TILE, 1u, t, i);
        }
      }
      softmax = weigh(softmax, SCORE + row * SCORES, part, first);
      workgroupBarrier();
      for (var k = 0u; k < CHUNKS; k++) { // unroll
        var w: array<Left, RM>; // registers
        for (var i = 0u; i < RM; i++) { // unroll
          w[i] = subgroupMatrixLoad<Left, row_major>(&pool, scores + i * MM * SCORES + k * FOURS, SCORES);
        }
        for (var n = 0u; n < ACROSS; n++) { // unroll
          let r = subgroupMatrixLoad<Right, row_major>(&pool, VALUES + k * MK * STRIDE + n * MN / 8u, STRIDE);
          for (var i = 0u; i < RM; i++) { // unroll
            sum[i * ACROSS + n] = subgroupMatrixMultiplyAccumulate(w[i], r, sum[i * ACROSS + n]);
          }
        }
      }
      if (!ALONE) { workgroupBarrier(); }
    }
    if (ONCE || turn > 0u) { continue; } // not break, after which lavapipe 26.2 took no second turn
    if (softmax.seen > softmax.top + SLACK) { atomicStore(&grew, 1u); }
    turns += workgroupUniformLoad(&grew);
    if (turns == 1u) { continue; }
    let seen = among(softmax.seen);
    softmax = Softmax(seen, 0.0, seen);
    for (var i = 0u; i < SUMS; i++) { // unroll
      sum[i] = Sum();
    }
    for (var i = 0u; i < PER; i++) { // unroll
      keys[i] = fetchTile(wg, 0u, 1u, t, i);
      values[i] = fetchTile(wg, 0u, 2u, t, i);
    }
  }
  workgroupBarrier();
  keepTotal(wg, row, part, softmax);
  let place = min(strip * ROWS * OUTS, POOL - ROWS * OUTS);
  for (var n = 0u; n < ACROSS; n++) { // unroll
    for (var i = 0u; i < RM; i++) { // unroll
      subgroupMatrixStore<row_major>(&pool, place + i * MM * OUTS + n % GROUP * MN / 4u, sum[i * ACROSS + n], OUTS);
    }
    if (n % GROUP == GROUP - 1u || n == ACROSS - 1u) {
      workgroupBarrier();
      writeRows(wg, t, n / GROUP * GROUP * MN);
      workgroupBarrier();
    }
  }
}
