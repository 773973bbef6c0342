// What attention.backward.matrix does between products: tiles of the other side, P and dS in place of scores and dP, and the way out.
const DOV = TILE * STRIDE; // of a stage; q or k is at 0
const SCORE = STAGES * STAGE;
const DP = SCORE + BLOCK * SCORES;
const POOL = max(DP + BLOCK * SCORES, 2u * BLOCK * STRIDE);
var<workgroup> pool: array<vec4<u32>, POOL>;
var<workgroup> lses: array<vec4<f32>, STAGES * TILE / 4u>;
var<workgroup> deltas: array<vec4<f32>, STAGES * TILE / 4u>;

// Of v where this workgroup is to have `keys`, else of dO.
fn fetchDov(wg: vec3<u32>, token: u32, keys: bool, eight: u32) -> vec4<u32> {
  if (keys) { return fetch(wg, token, 2u, eight); }
  let at = (vec2<u32>(oAt(wg, token)) + columns(eight)) / EACH;
  return within(eight, join(dO[at.x], dO[at.y]));
}

// Log-sum-exp in units of log 2 and delta.
fn saved(wg: vec3<u32>, token: u32) -> vec2<f32> {
  let row = (wg.z * p.heads + wg.y) * p.tokens + min(token, p.tokens - 1u);
  return vec2<f32>(1.4426950408889634 * lse[row], delta[row]);
}

// Keeps what is saved of a tile's rows.
fn keep(wg: vec3<u32>, t: u32, first: u32, fours: u32) {
  for (var e = t; e < TILE / 4u; e += WG) {
    let each = transpose(mat4x2<f32>(
      saved(wg, first + 4u * e), saved(wg, first + 4u * e + 1u), saved(wg, first + 4u * e + 2u), saved(wg, first + 4u * e + 3u)));
    lses[fours + e] = each[0];
    deltas[fours + e] = each[1];
  }
}

// Eight i of this thread of the tile from `first` on of the other side: q and (odd i) dO where this workgroup owns keys, else k and v.
// Which of them is known when the program is built: no load is behind a thread's own `if`.
fn fetchTile(wg: vec3<u32>, first: u32, keys: bool, t: u32, i: u32) -> vec4<u32> {
  let e = eightOf(t, i);
  if (i % 2u == 0u) { return fetch(wg, first + e / LONG, select(1u, 0u, keys), e % LONG); }
  return fetchDov(wg, first + e / LONG, !keys, e % LONG);
}

// Replaces scores and dP of a row and a tile by P and dS as f16. PARTS threads take MK columns in turn.
fn weigh(own: vec2<f32>, keys: bool, row: u32, part: u32, first: u32, fours: u32) {
  let scale = p.scale * 1.4426950408889634;
  for (var c = 0u; c < CHUNKS; c++) { // unroll
    for (var j = 0u; j < EIGHTS; j++) { // unroll
      let four = (c * PARTS + part) * FOURS + 2u * j;
      let at = SCORE + row * SCORES + four;
      let l0 = select(vec4<f32>(own.x), lses[fours + four], keys);
      let l1 = select(vec4<f32>(own.x), lses[fours + four + 1u], keys);
      let d0 = select(vec4<f32>(own.y), deltas[fours + four], keys);
      let d1 = select(vec4<f32>(own.y), deltas[fours + four + 1u], keys);
      var p0 = exp2(scale * bitcast<vec4<f32>>(pool[at]) - l0);
      var p1 = exp2(scale * bitcast<vec4<f32>>(pool[at + 1u]) - l1);
      if (first + TILE > p.tokens) {
        let column = vec4<u32>(first + 4u * four) + vec4<u32>(0u, 1u, 2u, 3u);
        p0 = select(vec4<f32>(), p0, column < vec4<u32>(p.tokens));
        p1 = select(vec4<f32>(), p1, column + 4u < vec4<u32>(p.tokens));
      }
      let s0 = p0 * (bitcast<vec4<f32>>(pool[at + BLOCK * SCORES]) - d0);
      let s1 = p1 * (bitcast<vec4<f32>>(pool[at + BLOCK * SCORES + 1u]) - d1);
      pool[at - j] = halves(p0, p1);
      pool[at - j + BLOCK * SCORES] = halves(s0, s1);
    }
  }
}

// TILE columns of dq, or of dk and dv, from `column` on, of this thread's strip, whose sums are in its scores' place.
fn writeRows(wg: vec3<u32>, t: u32, start: u32, keys: bool, column: u32) {
  for (var e = t % LANES; e < ROWS * TILE / EACH; e += LANES) {
    let row = t / LANES * ROWS + e / (TILE / EACH);
    let across = e % (TILE / EACH) * EACH;
    if (start + row < p.tokens && column + across < DIM) {
      let at = SCORE + row * SCORES + across / 4u;
      let dqk = element(p.scale * bitcast<vec4<f32>>(pool[at]), p.scale * bitcast<vec4<f32>>(pool[at + EACH / 8u]));
      dqkv[(rowAt(wg, start + row, select(0u, 1u, keys)) + column + across) / EACH] = dqk;
      if (keys) {
        let place = at + BLOCK * SCORES;
        let dv = element(bitcast<vec4<f32>>(pool[place]), bitcast<vec4<f32>>(pool[place + EACH / 8u]));
        dqkv[(rowAt(wg, start + row, 2u) + column + across) / EACH] = dv;
      }
    }
  }
}

// This workgroup's rows of q and dO, or of k and v, at the pool's start.
fn stageOwn(wg: vec3<u32>, t: u32, start: u32, keys: bool) {
  for (var e = t; e < BLOCK * LONG; e += WG) {
    let at = e / LONG * STRIDE + e % LONG;
    pool[at] = fetch(wg, start + e / LONG, select(0u, 1u, keys), e % LONG);
    pool[at + BLOCK * STRIDE] = fetchDov(wg, start + e / LONG, keys, e % LONG);
  }
}
