// Global average pooling over patches: y_nd = mean over l = 1..L of x_nld; token 0, cls, is left out. A thread takes a (sample, column).
const WG = 64u; // knob: threads
struct Params { batch: u32, tokens: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (batch, tokens, dim)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (batch, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  if (i >= p.batch * p.dim) { return; }
  var at = i / p.dim * p.tokens * p.dim + i % p.dim;
  var sum = 0.0;
  for (var l = 1u; l < p.tokens; l++) {
    at += p.dim;
    sum += x[at];
  }
  y[i] = sum / f32(p.tokens - 1u);
}
