// The gradient of q, k and v from recomputed probabilities (FlashAttention-2), every row of dqkv written by one owner.
// Two roles in one dispatch, alike but for names: the first half of the workgroups own rows of q (and do) and go over
// tiles of k and v; the second half own rows of k and v and go over tiles of q and do.
const DIM = 64u; // knob: head dimension, a multiple of 4
const WG = 128u; // knob: threads a workgroup
const PARTS = 2u; // knob: threads that share one row; divides WG
const HELD = 8u; // knob: vec4s of a row that one thread holds, DIM / 4 over PARTS rounded up
const TILE = 8u; // knob: rows a tile
const WIDTH = HELD * PARTS;
const ROWS = WG / PARTS;
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Quad>; // (batch, tokens, 3, heads, dim)

var<workgroup> qks: array<vec4<f32>, TILE * WIDTH>;
var<workgroup> dovs: array<vec4<f32>, TILE * WIDTH>;
var<workgroup> saved: array<vec2<f32>, TILE>;
var<workgroup> sums: array<vec2<f32>, select(1u, TILE * WG, PARTS > 1u)>;

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

// Where row `token` of q (0), k (1) or v (2) starts, in vec4s.
fn rowAt(wg: vec3<u32>, token: u32, which: u32) -> u32 {
  return (((wg.z * p.tokens + token) * 3u + which) * p.heads + wg.y) * (DIM / 4u);
}

// A vec4 of the row of q or k that is used in scores.
fn loadQK(wg: vec3<u32>, token: u32, column: u32, ofK: bool) -> vec4<f32> {
  return wide(qkv[rowAt(wg, token, select(0u, 1u, ofK)) + column]);
}

// Its partner in the gradient of the probabilities: do for q, v for k.
fn loadDoV(wg: vec3<u32>, token: u32, column: u32, ofV: bool) -> vec4<f32> {
  if (ofV) { return wide(qkv[rowAt(wg, token, 2u) + column]); }
  return wide(dO[((wg.z * p.tokens + token) * p.heads + wg.y) * (DIM / 4u) + column]);
}

fn loadSaved(wg: vec3<u32>, token: u32) -> vec2<f32> {
  let row = (wg.z * p.heads + wg.y) * p.tokens + token;
  return vec2<f32>(lse[row], delta[row]);
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let blocks = (p.tokens + ROWS - 1u) / ROWS;
  let keys = wg.x >= blocks; // the role: owner of rows of k and v
  let part = t % PARTS;
  let token = (wg.x % blocks) * ROWS + t / PARTS;
  let mine = min(token, p.tokens - 1u);
  let own = loadSaved(wg, mine);
  var qk: array<vec4<f32>, HELD>;
  var dov: array<vec4<f32>, HELD>;
  var dqk: array<vec4<f32>, HELD>;
  var dv: array<vec4<f32>, HELD>;
  var s: array<vec2<f32>, TILE>; // the score and the gradient of its probability; then p and ds
  for (var i = 0u; i < HELD; i++) { // unroll
    if (part + PARTS * i < DIM / 4u) {
      qk[i] = loadQK(wg, mine, part + PARTS * i, keys);
      dov[i] = loadDoV(wg, mine, part + PARTS * i, keys);
    }
  }
  for (var first = 0u; first < p.tokens; first += TILE) {
    workgroupBarrier();
    for (var e = t; e < TILE * WIDTH; e += WG) {
      let other = first + e / WIDTH;
      let column = e % WIDTH;
      let inside = other < p.tokens && column < DIM / 4u;
      qks[e] = vec4<f32>();
      dovs[e] = vec4<f32>();
      if (inside) {
        qks[e] = loadQK(wg, other, column, !keys);
        dovs[e] = loadDoV(wg, other, column, !keys);
      }
    }
    if (t < TILE) { saved[t] = loadSaved(wg, min(first + t, p.tokens - 1u)); }
    workgroupBarrier();
    for (var j = 0u; j < TILE; j++) { // unroll
      var a = vec4<f32>();
      var b = vec4<f32>();
      for (var i = 0u; i < HELD; i++) { // unroll
        a += qk[i] * qks[j * WIDTH + part + PARTS * i];
        b += dov[i] * dovs[j * WIDTH + part + PARTS * i];
      }
      s[j] = vec2<f32>(dot(a, vec4<f32>(1.0)), dot(b, vec4<f32>(1.0)));
    }
    if (PARTS > 1u) {
      for (var j = 0u; j < TILE; j++) { // unroll
        sums[j * WG + t] = s[j];
      }
      workgroupBarrier();
      for (var j = 0u; j < TILE; j++) { // unroll
        s[j] = vec2<f32>();
        for (var k = 0u; k < PARTS; k++) { s[j] += sums[j * WG + t - part + k]; }
      }
    }
    for (var j = 0u; j < TILE; j++) { // unroll
      let row = select(own, saved[j], keys);
      let probability = exp(select(-1e30, p.scale * s[j].x - row.x, first + j < p.tokens));
      s[j] = vec2<f32>(probability, p.scale * probability * (s[j].y - row.y));
    }
    for (var i = 0u; i < HELD; i++) { // unroll
      for (var j = 0u; j < TILE; j++) { // unroll
        dqk[i] += s[j].y * qks[j * WIDTH + part + PARTS * i];
        if (keys) { dv[i] += s[j].x * dovs[j * WIDTH + part + PARTS * i]; }
      }
    }
  }
  if (token >= p.tokens) { return; }
  for (var i = 0u; i < HELD; i++) { // unroll
    if (part + PARTS * i < DIM / 4u) {
      dqkv[rowAt(wg, token, select(0u, 1u, keys)) + part + PARTS * i] = narrow(dqk[i]);
      if (keys) { dqkv[rowAt(wg, token, 2u) + part + PARTS * i] = narrow(dv[i]); }
    }
  }
}
