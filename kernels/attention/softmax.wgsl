// What attention.forward.matrix does between products: softmax of strips of scores in workgroup memory, and the way out.
const NONE = -1e30; // below every score, and finite
const SLACK = 10.0; // f16 ends at 2^16
const SPARE = MM * (MN / 4u + 1u); // for a matrix of sums
const TURN = TILE * STRIDE / SPARE; // strips that are rescaled at once, in place of the keys

// What a thread keeps of a row: what its weights are relative to, and their sum over this thread's keys.
struct Softmax { top: f32, total: f32 }

// Replaces the scores of a row and a tile, at `at`, by weights. PARTS threads take MK keys in turn; scores are in units of log 2.
fn weigh(before: Softmax, row: u32, part: u32, first: u32) -> Softmax {
  let scale = p.scale * 1.4426950408889634;
  let at = row + part * FOURS;
  var held: array<vec4<f32>, HOLDS>; // registers
  for (var c = 0u; c < CHUNKS; c++) { // unroll
    for (var j = 0u; j < FOURS; j++) { // unroll
      held[c * FOURS + j] = scale * bitcast<vec4<f32>>(pool[at + c * PARTS * FOURS + j]);
    }
  }
  if (first + TILE > p.tokens) {
    for (var c = 0u; c < CHUNKS; c++) { // unroll
      for (var j = 0u; j < FOURS; j++) { // unroll
        let key = vec4<u32>(first + (c * PARTS + part) * MK + 4u * j) + vec4<u32>(0u, 1u, 2u, 3u);
        held[c * FOURS + j] = select(vec4<f32>(NONE), held[c * FOURS + j], key < vec4<u32>(p.tokens));
      }
    }
  }
  var highest = vec4<f32>(before.top);
  for (var i = 0u; i < HOLDS; i++) { // unroll
    highest = max(highest, held[i]);
  }
  var most = max(max(highest.x, highest.y), max(highest.z, highest.w));
  for (var other = ROWS; other < LANES; other *= 2u) { most = max(most, subgroupShuffleXor(most, other)); }
  let keep = !ONCE && first > 0u && most <= before.top + SLACK;
  let top = select(most, before.top, keep);
  if (!ONCE && first > 0u && !keep) { atomicStore(&grew, 1u); }
  var sums = vec4<f32>();
  for (var c = 0u; c < CHUNKS; c++) { // unroll
    for (var j = 0u; j < EIGHTS; j++) { // unroll
      let low = exp2(held[c * FOURS + 2u * j] - top);
      let high = exp2(held[c * FOURS + 2u * j + 1u] - top);
      sums += low + high;
      pool[at + c * PARTS * FOURS + j] = halves(low, high);
    }
  }
  return Softmax(top, before.total * exp2(before.top - top) + dot(sums, vec4<f32>(1.0)));
}

// A row of a matrix of sums by what a row's weights shrank.
fn multiply(at: u32, part: u32, shrink: f32) {
  for (var c = part; c < MN / 4u; c += PARTS) { pool[at + c] = bitcast<vec4<u32>>(shrink * bitcast<vec4<f32>>(pool[at + c])); }
}

// The row's log-sum-exp, and one over its total behind its scores.
fn keepTotal(wg: vec3<u32>, row: u32, part: u32, softmax: Softmax) {
  var total = softmax.total;
  for (var other = ROWS; other < LANES; other *= 2u) { total += subgroupShuffleXor(total, other); }
  if (part > 0u) { return; }
  pool[SCORE + row * SCORES + TILE / 4u] = vec4<u32>(bitcast<u32>(1.0 / total));
  let token = wg.x * BLOCK + row;
  if (token < p.tokens) { lse[(wg.z * p.heads + wg.y) * p.tokens + token] = (softmax.top + log2(total)) * 0.6931471805599453; }
}

// TILE columns of o, from `column` on, of this thread's strip, whose sums are in its scores' place.
fn writeRows(wg: vec3<u32>, t: u32, column: u32) {
  for (var e = t % LANES; e < ROWS * TILE / EACH; e += LANES) {
    let row = t / LANES * ROWS + e / (TILE / EACH);
    let across = e % (TILE / EACH) * EACH;
    let at = SCORE + row * SCORES;
    let share = bitcast<f32>(pool[at + TILE / 4u].x);
    let low = share * bitcast<vec4<f32>>(pool[at + across / 4u]);
    let high = share * bitcast<vec4<f32>>(pool[at + across / 4u + EACH / 8u]);
    let token = wg.x * BLOCK + row;
    if (token < p.tokens && column + across < DIM) { o[(oAt(wg, token) + column + across) / EACH] = element(low, high); }
  }
}

// Eight i of this thread of the tile of keys, or (odd i) of values, from `first` on.
fn fetchTile(wg: vec3<u32>, first: u32, t: u32, i: u32) -> vec4<u32> {
  let e = eightOf(t, i);
  return fetch(wg, first + e / LONG, 1u + i % 2u, e % LONG);
}

// This workgroup's rows of q, at the pool's start.
fn stageOwn(wg: vec3<u32>, t: u32) {
  for (var e = t; e < BLOCK * LONG; e += WG) { pool[e / LONG * STRIDE + e % LONG] = fetch(wg, wg.x * BLOCK + e / LONG, 0u, e % LONG); }
}
