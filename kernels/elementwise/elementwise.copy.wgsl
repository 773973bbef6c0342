// y = x. A thread takes PER neighbours; groups fold to two dimensions.
const WG = 64u; // knob: threads of a workgroup
const PER = 4u; // knob: elements of a thread
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (n)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let first = ((wg.x + wg.y * groups.x) * WG + t) * PER;
  for (var i = first; i < min(first + PER, p.n); i++) { y[i] = x[i]; }
}
