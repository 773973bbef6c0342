// Gradient of the mean of crossentropy.forward: dlogits_nk = (mass_n exp(z_nk - lse_n) - t_nk) dloss / rows. A thread takes an element.
const WG = 64u; // knob: threads
struct Params { rows: u32, classes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // (rows, classes)
@group(0) @binding(2) var<storage, read> targets: array<f32>; // (rows, classes)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (rows)
@group(0) @binding(4) var<storage, read> mass: array<f32>; // (rows)
@group(0) @binding(5) var<storage, read> dloss: array<f32>; // (1)
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>; // (rows, classes)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  let row = i / p.classes;
  if (row >= p.rows) { return; }
  dlogits[i] = (mass[row] * exp(logits[i] - lse[row]) - targets[i]) * (dloss[0] / f32(p.rows));
}
