// attention.backward for software adapters: one subgroup of SG lanes a workgroup, R rows a lane, KB of the other side's
// at once. The first half of the workgroups own rows of q, the second half rows of k and v: a loop for each, because one
// loop with the role tested inside was 1.1x to 1.4x slower.
const DIM = 64u; // knob: head dimension, a multiple of 4
const SG = 16u; // knob: lanes a workgroup, the adapter's subgroup size
const R = 2u; // knob: rows a lane
const KB = 2u; // knob: rows of the other side at once
const V = DIM / 4u;
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<vec4<f32>>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<vec4<f32>>; // (batch, tokens, 3, heads, dim)

// From the scores and dP: the probabilities and the gradient of the unscaled scores, 0 for rows past the end.
fn soften(s: ptr<function, f32>, d: ptr<function, f32>, row: u32, inside: bool) {
  *s = exp(select(-1e30, *s - lse[row], inside));
  *d = p.scale * *s * (*d - delta[row]);
}

fn store(rows: ptr<function, Rows>, wg: vec3<u32>, block: u32, t: u32, which: u32) {
  for (var r = 0u; r < R; r++) { // unroll
    let token = (block * R + r) * SG + t;
    if (token < p.tokens) {
      let at = rowAt(wg, token, which);
      for (var i = 0u; i < V; i++) { // unroll
        dqkv[at + i] = rows[r][i];
      }
    }
  }
}
