// o = softmax(scale q k^T) v of every head, by an online softmax over tiles of keys, and each row's log-sum-exp.
// PARTS threads share one query row, each holding every PARTS-th vec4 of it; K and V tiles in workgroup memory.
const DIM = 64u; // knob: head dimension, a multiple of 4
const WG = 64u; // knob: threads a workgroup
const PARTS = 2u; // knob: threads that share one query row; divides WG
const HELD = 8u; // knob: vec4s of a row that one thread holds, DIM / 4 over PARTS rounded up
const TILE = 16u; // knob: keys a tile
const WIDTH = HELD * PARTS;
const ROWS = WG / PARTS;
const NONE = -1e30; // below every score, and finite
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

var<workgroup> ks: array<vec4<f32>, TILE * WIDTH>;
var<workgroup> vs: array<vec4<f32>, TILE * WIDTH>;
var<workgroup> sums: array<f32, select(1u, TILE * WG, PARTS > 1u)>;

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

// Where row `token` of q (0), k (1) or v (2) starts, in vec4s.
fn rowAt(wg: vec3<u32>, token: u32, which: u32) -> u32 {
  return (((wg.z * p.tokens + token) * 3u + which) * p.heads + wg.y) * (DIM / 4u);
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let part = t % PARTS;
  let token = wg.x * ROWS + t / PARTS;
  let mine = rowAt(wg, min(token, p.tokens - 1u), 0u);
  var q: array<vec4<f32>, HELD>;
  var sum: array<vec4<f32>, HELD>;
  var s: array<f32, TILE>;
  for (var i = 0u; i < HELD; i++) { // unroll
    if (part + PARTS * i < DIM / 4u) { q[i] = wide(qkv[mine + part + PARTS * i]) * p.scale; }
  }
  var top = NONE;
  var total = 0.0;
  for (var first = 0u; first < p.tokens; first += TILE) {
    workgroupBarrier();
    for (var e = t; e < TILE * WIDTH; e += WG) {
      let key = first + e / WIDTH;
      let column = e % WIDTH;
      let inside = key < p.tokens && column < DIM / 4u;
      ks[e] = vec4<f32>();
      vs[e] = vec4<f32>();
      if (inside) {
        ks[e] = wide(qkv[rowAt(wg, key, 1u) + column]);
        vs[e] = wide(qkv[rowAt(wg, key, 2u) + column]);
      }
    }
    workgroupBarrier();
    for (var j = 0u; j < TILE; j++) { // unroll
      var products = vec4<f32>();
      for (var i = 0u; i < HELD; i++) { // unroll
        products += q[i] * ks[j * WIDTH + part + PARTS * i];
      }
      s[j] = dot(products, vec4<f32>(1.0));
    }
    if (PARTS > 1u) {
      for (var j = 0u; j < TILE; j++) { // unroll
        sums[j * WG + t] = s[j];
      }
      workgroupBarrier();
      for (var j = 0u; j < TILE; j++) { // unroll
        s[j] = 0.0;
        for (var other = 0u; other < PARTS; other++) { s[j] += sums[j * WG + t - part + other]; }
      }
    }
    var newTop = top;
    for (var j = 0u; j < TILE; j++) { // unroll
      s[j] = select(NONE, s[j], first + j < p.tokens);
      newTop = max(newTop, s[j]);
    }
    let shrink = exp(top - newTop);
    top = newTop;
    total *= shrink;
    for (var j = 0u; j < TILE; j++) { // unroll
      s[j] = exp(s[j] - top);
      total += s[j];
    }
    for (var i = 0u; i < HELD; i++) { // unroll
      sum[i] *= shrink;
      for (var j = 0u; j < TILE; j++) { // unroll
        sum[i] += s[j] * vs[j * WIDTH + part + PARTS * i];
      }
    }
  }
  if (token >= p.tokens) { return; }
  let out = ((wg.z * p.tokens + token) * p.heads + wg.y) * (DIM / 4u);
  for (var i = 0u; i < HELD; i++) { // unroll
    if (part + PARTS * i < DIM / 4u) { o[out + part + PARTS * i] = narrow(sum[i] / total); }
  }
  if (part == 0u) { lse[(wg.z * p.heads + wg.y) * p.tokens + token] = top + log(total); }
}
