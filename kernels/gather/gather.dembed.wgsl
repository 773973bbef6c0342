// demb[b, j] = dx[b, 1 + j]: the gradient without the cls row. One workgroup per patch.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per patch
struct Params { batch: u32, keep: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<vec4<f32>>; // (batch, 1 + keep, dim)
@group(0) @binding(2) var<storage, read_write> demb: array<vec4<f32>>; // (batch, keep, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let kept = wg.x + wg.y * groups.x;
  if (kept >= p.batch * p.keep) { return; }
  let token = kept + kept / p.keep + 1u;
  for (var c = t; c < width; c += WG) { demb[kept * width + c] = dx[token * width + c]; }
}
