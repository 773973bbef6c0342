// What attention.forward.matrix does between products: softmax of strips of scores in workgroup memory, and the way out.
const NONE = -1e30; // below every score, and finite
const SLACK = 10.0; // f16 ends at 2^16
var<workgroup> shares: array<f32, BLOCK>; // one over each row's total

// What a thread keeps of a row: what its weights are relative to, their sum over this thread's keys, and the largest of its scores.
struct Softmax { top: f32, total: f32, seen: f32 }

// The largest of what the threads of a row have.
fn among(mine: f32) -> f32 {
  var most = mine;
  for (var other = ROWS; other < LANES; other *= 2u) { most = max(most, subgroupShuffleXor(most, other)); }
  return most;
}

// Replaces a row's scores of the tile from `first` on, at `at`, by weights, which are in units of log 2.
fn weigh(before: Softmax, at: u32, part: u32, first: u32) -> Softmax {
  let scale = p.scale * 1.4426950408889634;
  let mine = at + part * HOLDS;
  var held: array<vec4<f32>, HOLDS>; // registers
  for (var j = 0u; j < HOLDS; j++) { // unroll
    held[j] = bitcast<vec4<f32>>(pool[mine + j]);
  }
  if (first + TILE > p.tokens) {
    for (var j = 0u; j < HOLDS; j++) { // unroll
      let key = vec4<u32>(first + (part * HOLDS + j) * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
      held[j] = select(vec4<f32>(NONE / scale), held[j], key < vec4<u32>(p.tokens));
    }
  }
  var highest = held[0];
  for (var j = 0u; j < HOLDS; j++) { // unroll
    highest = max(highest, held[j]);
  }
  var most = scale * max(max(highest.x, highest.y), max(highest.z, highest.w));
  var top = before.top;
  if (first == 0u) {
    most = among(most);
    top = select(top, most, top == NONE);
  }
  var sums = vec4<f32>();
  for (var j = 0u; j < HALVES; j++) { // unroll
    let low = exp2(scale * held[2u * j] - top);
    let high = exp2(scale * held[2u * j + 1u] - top);
    sums += low + high;
    let weights = halves(low, high);
    // A thread writes only where no other has read.
    if (SHARED) {
      let given = subgroupShuffleXor(weights, ROWS);
      if (part % 2u == 0u) {
        pool[mine] = weights;
        pool[mine + 1u] = given;
      }
    } else { pool[mine + j / EIGHTS * FOURS + j % EIGHTS] = weights; }
  }
  return Softmax(top, before.total + dot(sums, vec4<f32>(1.0)), max(before.seen, most));
}

// The row's log-sum-exp, and one over its total.
fn keepTotal(wg: vec3<u32>, row: u32, part: u32, softmax: Softmax) {
  var total = softmax.total;
  for (var other = ROWS; other < LANES; other *= 2u) { total += subgroupShuffleXor(total, other); }
  if (part > 0u) { return; }
  shares[row] = 1.0 / total;
  let token = wg.x * BLOCK + row;
  if (token < p.tokens) { lse[(wg.z * p.heads + wg.y) * p.tokens + token] = (softmax.top + log2(total)) * 0.6931471805599453; }
}

// GROUP matrices' columns of o, from `column` on, whose sums lie in rows of OUTS.
fn writeRows(wg: vec3<u32>, t: u32, column: u32) {
  for (var e = t; e < BLOCK * GROUP * MN / EACH; e += WG) {
    let row = e / (GROUP * MN / EACH);
    let across = e % (GROUP * MN / EACH) * EACH;
    let at = row * OUTS + across / 4u;
    let low = shares[row] * bitcast<vec4<f32>>(pool[at]);
    let high = shares[row] * bitcast<vec4<f32>>(pool[at + EACH / 8u]);
    let token = wg.x * BLOCK + row;
    if (token < p.tokens && column + across < DIM) { o[(oAt(wg, token) + column + across) / EACH] = element(low, high); }
  }
}

// Eight i of this thread of the tile of keys (1) or values (2) from `first` on.
fn fetchTile(wg: vec3<u32>, first: u32, which: u32, t: u32, i: u32) -> vec4<u32> {
  return fetch(wg, first + eightOf(t, i) / LONG, which, eightOf(t, i) % LONG);
}
