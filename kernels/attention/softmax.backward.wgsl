// What the backward kernels on subgroup matrices do between products: rows of the other side, P and dS in place of scores and dP, and the way out.
// What both repeat are loops over arrays marked `registers`: these become single variables, which no function can be given.
// All that comes in pairs does so by a number r: with r = 0 what makes scores and takes dS, with r = 1 what makes dP and takes P.
const PAIR = 2u;
const OWNED = PAIR * HELD;
const MADE = PAIR * STORED;
const SUMMED = PAIR * SUMS;
const AHEAD = PAIR * PER;
const OURS = PAIR * BATCH;
// Numbers and not vec4s: whoever writes one component of a vector may write the others, too.
var<workgroup> lses: array<f32, KEPT>;
var<workgroup> deltas: array<f32, KEPT>;

// Of v where `keys`, else of dO.
fn fetchDov(wg: vec3<u32>, token: u32, keys: bool, eight: u32) -> vec4<u32> {
  if (keys) { return fetch(wg, token, 2u, eight); }
  let at = (vec2<u32>(oAt(wg, token)) + columns(eight)) / EACH;
  return within(eight, join(dO[at.x], dO[at.y]));
}

// Eight i / 2 of this thread of the tile from `first` on of the other side: of q or, with odd i, dO where this workgroup owns `keys`,
// else of k or v. Which of them is known when the program is built: no load is behind a thread's own `if`.
fn fetchTile(wg: vec3<u32>, first: u32, keys: bool, t: u32, i: u32) -> vec4<u32> {
  let e = eightOf(t, i / 2u);
  if (i % 2u == 0u) { return fetch(wg, first + e / LONG, select(1u, 0u, keys), e % LONG); }
  return fetchDov(wg, first + e / LONG, !keys, e % LONG);
}

// Puts it into the tile at `stage`.
fn putTile(stage: u32, t: u32, i: u32, eight: vec4<u32>) { put(stage + i % 2u * MATRIX, t, i / 2u, eight); }

// This workgroup's rows of k and v or, without `keys`, q and dO, at the pool's start.
fn stageOwn(wg: vec3<u32>, t: u32, start: u32, keys: bool) {
  for (var b = 0u; b < OWN; b += BATCH) {
    var ours: array<vec4<u32>, OURS>; // registers
    for (var i = 0u; i < BATCH; i++) { // unroll
      let e = t + (b + i) * WG;
      ours[2u * i] = fetch(wg, start + e / LONG, select(0u, 1u, keys), e % LONG);
      ours[2u * i + 1u] = fetchDov(wg, start + e / LONG, keys, e % LONG);
    }
    for (var i = 0u; i < OURS; i++) { // unroll
      putOwn(i % 2u * BLOCK * STRIDE, t, b + i / 2u, ours[i]);
    }
  }
}

// Log-sum-exp in units of log 2 and delta.
fn saved(wg: vec3<u32>, token: u32) -> vec2<f32> {
  let row = (wg.z * p.heads + wg.y) * p.tokens + min(token, p.tokens - 1u);
  return vec2<f32>(1.4426950408889634 * lse[row], delta[row]);
}

// Keeps what is saved of row i of the rows that are in workgroup memory.
fn keep(i: u32, row: vec2<f32>) {
  lses[i] = row.x;
  deltas[i] = row.y;
}

fn keptLses(i: u32) -> vec4<f32> { return vec4<f32>(lses[i], lses[i + 1u], lses[i + 2u], lses[i + 3u]); }
fn keptDeltas(i: u32) -> vec4<f32> { return vec4<f32>(deltas[i], deltas[i + 1u], deltas[i + 2u], deltas[i + 3u]); }

// The same of the tile from `first` on, as rows from `at` on.
fn keepTile(wg: vec3<u32>, t: u32, first: u32, at: u32) {
  for (var e = t; e < TILE; e += WG) { keep(at + e, saved(wg, first + e)); }
}

// P of the four scores at `at`, the first of them of `column`: 0 past the last.
fn power(at: u32, log: vec4<f32>, column: u32, last: bool) -> vec4<f32> {
  let weights = exp2(p.scale * 1.4426950408889634 * bitcast<vec4<f32>>(pool[at]) - log);
  if (!last) { return weights; }
  return select(vec4<f32>(), weights, vec4<u32>(column) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.tokens));
}

// Puts eight j of a thread's P and dS, of MK columns first P and then dS, in place of its scores, from `mine` on:
// a thread writes only where no other has read.
fn replace(mine: u32, part: u32, j: u32, weights: vec4<u32>, gradients: vec4<u32>) {
  if (SHARED) {
    let given = subgroupShuffleXor(select(gradients, weights, part % 2u == 1u), ROWS);
    pool[mine] = select(given, weights, part % 2u == 0u);
    pool[mine + 1u] = select(gradients, given, part % 2u == 0u);
  } else {
    pool[mine + j / EIGHTS * FOURS + j % EIGHTS] = weights;
    pool[mine + j / EIGHTS * FOURS + j % EIGHTS + EIGHTS] = gradients;
  }
}

// GROUP matrices' columns of the gradient of q (0), k (1) or v (2), from `column` on, whose sums lie in rows of OUTS.
fn writeRows(wg: vec3<u32>, t: u32, start: u32, which: u32, column: u32, scale: f32) {
  for (var e = t; e < BLOCK * GROUP * MN / EACH; e += WG) {
    let row = e / (GROUP * MN / EACH);
    let across = e % (GROUP * MN / EACH) * EACH;
    writeEach(wg, start + row, which, column + across, row * OUTS + across / 4u, scale);
  }
}

// EACH numbers of a row from the sums at `at`.
fn writeEach(wg: vec3<u32>, token: u32, which: u32, column: u32, at: u32, scale: f32) {
  if (token < p.tokens && column < DIM) {
    dqkv[(rowAt(wg, token, which) + column) / EACH] =
      element(scale * bitcast<vec4<f32>>(pool[at]), scale * bitcast<vec4<f32>>(pool[at + EACH / 8u]));
  }
}
