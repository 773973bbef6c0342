// attention.forward for software adapters: one subgroup of SG lanes a workgroup, R query rows a lane, KB keys at once.
enable subgroups;
const DIM = 64u; // knob: head dimension, a multiple of 4
const SG = 16u; // knob: lanes a workgroup, the adapter's subgroup size
const R = 2u; // knob: query rows a lane
const KB = 2u; // knob: keys at once
const BROADCAST = false; // knob: how keys and values come (rows.wgsl)
const HELD = 1u; // knob: vec4s of a row for each lane, DIM / 4 / SG rounded up
const V = DIM / 4u;
const NONE = -1e30; // below every score, and finite
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

@compute @workgroup_size(SG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  var q: Rows;
  var sum: Rows;
  var s: Scores;
  var ks: Places;
  var vs: Places;
  var held: Held;
  var top: array<f32, R>;
  var total: array<f32, R>;
  loadOwn(&q, wg, wg.x, t, 0u, p.scale);
  for (var r = 0u; r < R; r++) { // unroll
    top[r] = NONE;
  }
  for (var first = 0u; first < p.tokens; first += KB) {
    for (var j = 0u; j < KB; j++) { // unroll
      let key = min(first + j, p.tokens - 1u);
      ks[j] = rowAt(wg, key, 1u);
      vs[j] = rowAt(wg, key, 2u);
      for (var r = 0u; r < R; r++) { // unroll
        s[r][j] = 0.0;
      }
    }
    hold(&held, &ks, t);
    dots(&s, &q, &ks, &held);
    for (var r = 0u; r < R; r++) { // unroll
      var newTop = top[r];
      for (var j = 0u; j < KB; j++) { // unroll
        s[r][j] = select(NONE, s[r][j], first + j < p.tokens);
        newTop = max(newTop, s[r][j]);
      }
      let shrink = exp(top[r] - newTop);
      top[r] = newTop;
      total[r] *= shrink;
      for (var i = 0u; i < V; i++) { // unroll
        sum[r][i] *= shrink;
      }
      for (var j = 0u; j < KB; j++) { // unroll
        s[r][j] = exp(s[r][j] - newTop);
        total[r] += s[r][j];
      }
    }
    hold(&held, &vs, t);
    addWeighted(&sum, &s, &vs, &held);
  }
  for (var n = 0u; n < V; n++) {
    for (var r = 0u; r < R; r++) { // unroll
      let token = (wg.x * R + r) * SG + t;
      if (token < p.tokens) { o[oAt(wg, token) + n] = narrow(sum[r][0] * (1.0 / total[r])); }
      moveDown(&sum, r);
    }
  }
  for (var r = 0u; r < R; r++) { // unroll
    let token = (wg.x * R + r) * SG + t;
    if (token < p.tokens) {
      lse[(wg.z * p.heads + wg.y) * p.tokens + token] = top[r] + log(total[r]);
    }
  }
}
