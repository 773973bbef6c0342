// attention.backward for software adapters: one subgroup of SG lanes a workgroup, R rows a lane, KB of the other side's
// at once. Half of the workgroups own rows of q, half rows of k and v: one loop for both was up to 1.4x slower (attention.md).
enable subgroups;
const DIM = 64u; // knob: head dimension, a multiple of 4
const SG = 16u; // knob: lanes a workgroup, the adapter's subgroup size
const R = 2u; // knob: rows a lane
const KB = 2u; // knob: rows of the other side at once
const BROADCAST = false; // knob: how the other side's rows come (rows.wgsl)
const HELD = 1u; // knob: vec4s of a row for each lane, DIM / 4 / SG rounded up
const V = DIM / 4u;
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Quad>; // (batch, tokens, 3, heads, dim)

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

fn loadSaved(wg: vec3<u32>, token: u32) -> vec2<f32> {
  let row = (wg.z * p.heads + wg.y) * p.tokens + token;
  return vec2<f32>(lse[row], delta[row]);
}

// Of a score and the gradient of its probability: the probability and the score's gradient, 0 for rows past the end.
fn soften(score: f32, dp: f32, saved: vec2<f32>, inside: bool) -> vec2<f32> {
  let probability = exp(select(-1e30, score - saved.x, inside));
  return vec2<f32>(probability, p.scale * probability * (dp - saved.y));
}

fn store(rows: ptr<function, Rows>, wg: vec3<u32>, block: u32, t: u32, which: u32) {
  for (var n = 0u; n < vectors(); n++) {
    for (var r = 0u; r < R; r++) { // unroll
      let token = (block * R + r) * SG + t;
      let value = narrow(take(rows, r, n));
      if (token < p.tokens) { dqkv[rowAt(wg, token, which) + n] = value; }
    }
  }
}

fn holdO(held: ptr<function, Held>, at: ptr<function, Places>, t: u32) {
  if (!BROADCAST) { return; }
  for (var j = 0u; j < KB; j++) { // unroll
    for (var h = 0u; h < HELD; h++) { // unroll
      held[j][h] = wide(dO[at[j] + min(h * SG + t, V - 1u)]);
    }
  }
}

fn queries(wg: vec3<u32>, block: u32, t: u32) {
  var q: Rows;
  var rows: Rows; // of dO
  var dq: Rows;
  var saved: array<vec2<f32>, R>;
  var heldK: Held;
  var heldV: Held;
  loadOwn(&q, wg, block, t, 0u, p.scale);
  for (var r = 0u; r < R; r++) { // unroll
    saved[r] = loadSaved(wg, ownToken(block, r, t));
  }
  for (var n = 0u; n < vectors(); n++) {
    for (var r = 0u; r < R; r++) { // unroll
      put(&rows, r, n, wide(dO[oAt(wg, ownToken(block, r, t)) + n]));
    }
  }
  for (var first = 0u; first < p.tokens; first += KB) {
    var ks: Places;
    var vs: Places;
    var s = Scores(); // said, because Dawn zeroes a bare `var` once, not every time round the loop
    var ds = Scores();
    for (var j = 0u; j < KB; j++) { // unroll
      ks[j] = rowAt(wg, min(first + j, p.tokens - 1u), 1u);
      vs[j] = ks[j] + p.heads * V;
    }
    hold(&heldK, &ks, t);
    hold(&heldV, &vs, t);
    dots(&s, &q, &ks, &heldK);
    dots(&ds, &rows, &vs, &heldV);
    for (var r = 0u; r < R; r++) { // unroll
      for (var j = 0u; j < KB; j++) { // unroll
        ds[r][j] = soften(s[r][j], ds[r][j], saved[r], first + j < p.tokens).y;
      }
    }
    addWeighted(&dq, &ds, &ks, &heldK);
  }
  store(&dq, wg, block, t, 0u);
}

fn keys(wg: vec3<u32>, block: u32, t: u32) {
  var k: Rows;
  var v: Rows;
  var dk: Rows;
  var dv: Rows;
  var heldQ: Held;
  var heldO: Held;
  loadOwn(&k, wg, block, t, 1u, p.scale);
  loadOwn(&v, wg, block, t, 2u, 1.0);
  for (var first = 0u; first < p.tokens; first += KB) {
    var qs: Places;
    var os: Places;
    var s = Scores();
    var ds = Scores();
    for (var j = 0u; j < KB; j++) { // unroll
      qs[j] = rowAt(wg, min(first + j, p.tokens - 1u), 0u);
      os[j] = oAt(wg, min(first + j, p.tokens - 1u));
    }
    hold(&heldQ, &qs, t);
    holdO(&heldO, &os, t);
    dots(&s, &k, &qs, &heldQ);
    for (var i = 0u; i < V; i++) { // unroll
      for (var j = 0u; j < KB; j++) { // unroll
        var other: vec4<f32>;
        if (BROADCAST) { other = subgroupBroadcast(heldO[j][i / SG], i % SG); } else { other = wide(dO[os[j] + i]); }
        for (var r = 0u; r < R; r++) { // unroll
          ds[r][j] += dot(v[r][i], other);
        }
      }
    }
    for (var j = 0u; j < KB; j++) { // unroll
      let saved = loadSaved(wg, min(first + j, p.tokens - 1u));
      for (var r = 0u; r < R; r++) { // unroll
        let pair = soften(s[r][j], ds[r][j], saved, first + j < p.tokens);
        s[r][j] = pair.x;
        ds[r][j] = pair.y;
      }
    }
    for (var i = 0u; i < V; i++) { // unroll
      for (var j = 0u; j < KB; j++) { // unroll
        var other: vec4<f32>;
        if (BROADCAST) { other = subgroupBroadcast(heldO[j][i / SG], i % SG); } else { other = wide(dO[os[j] + i]); }
        for (var r = 0u; r < R; r++) { // unroll
          dv[r][i] += s[r][j] * other;
        }
      }
    }
    addWeighted(&dk, &ds, &qs, &heldQ);
  }
  store(&dk, wg, block, t, 1u);
  store(&dv, wg, block, t, 2u);
}

@compute @workgroup_size(SG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let blocks = (p.tokens + R * SG - 1u) / (R * SG);
  if (wg.x < blocks) { queries(wg, wg.x, t); } else { keys(wg, wg.x - blocks, t); }
}
