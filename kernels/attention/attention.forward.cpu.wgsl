// attention.forward for software adapters: one subgroup of SG lanes a workgroup, R query rows a lane, KB keys at once.
const DIM = 64u; // knob: head dimension, a multiple of 4
const SG = 16u; // knob: lanes a workgroup, the adapter's subgroup size
const R = 2u; // knob: query rows a lane
const KB = 2u; // knob: keys at once
const V = DIM / 4u;
const NONE = -1e30; // below every score, and finite
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<vec4<f32>>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

@compute @workgroup_size(SG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  var q: Rows;
  var sum: Rows;
  var s: Scores;
  var ks: Places;
  var vs: Places;
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
    dots(&s, &q, &ks);
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
    addWeighted(&sum, &s, &vs);
  }
  for (var r = 0u; r < R; r++) { // unroll
    let token = (wg.x * R + r) * SG + t;
    if (token < p.tokens) {
      let at = oAt(wg, token);
      for (var i = 0u; i < V; i++) { // unroll
        o[at + i] = sum[r][i] * (1.0 / total[r]);
      }
      lse[(wg.z * p.heads + wg.y) * p.tokens + token] = top[r] + log(total[r]);
    }
  }
}
