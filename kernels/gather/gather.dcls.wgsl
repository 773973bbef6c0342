// Partial sums over the batch of the cls rows: group g sums its run of images, in order. A column sum finishes them.
const WG = 64u; // knob: columns per workgroup
struct Params { batch: u32, keep: u32, dim: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<f32>; // (batch, 1 + keep, dim)
@group(0) @binding(2) var<storage, read_write> dcls: array<f32>; // (groups, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let blocks = (p.dim + WG - 1u) / WG;
  let index = wg.x + wg.y * groups.x;
  let group = index / blocks;
  let c = (index % blocks) * WG + t;
  if (group >= p.groups || c >= p.dim) { return; }
  let run = (p.batch + p.groups - 1u) / p.groups;
  let end = min(p.batch, (group + 1u) * run);
  var sum = 0.0;
  for (var b = group * run; b < end; b++) { sum += dx[b * (1u + p.keep) * p.dim + c]; }
  dcls[group * p.dim + c] = sum;
}
