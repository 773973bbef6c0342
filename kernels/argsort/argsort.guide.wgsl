// guided = (1 - guidance) noise + guidance rank / patches: noise under which patches of high rank are likelier to be removed.
// A thread takes a patch.
const WG = 64u; // knob: threads
struct Params { batch: u32, patches: u32, guidance: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> noise: array<f32>; // (batch, patches)
@group(0) @binding(2) var<storage, read> rank: array<u32>; // (batch, patches): 0 for the least score of an image
@group(0) @binding(3) var<storage, read_write> guided: array<f32>; // (batch, patches)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  if (i >= p.batch * p.patches) { return; }
  guided[i] = (1.0 - p.guidance) * noise[i] + p.guidance * f32(rank[i]) / f32(p.patches);
}
