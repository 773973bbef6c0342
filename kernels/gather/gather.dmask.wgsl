// Partial sums for the mask token's gradient: the removed patches (the tail of ids_shuffle) of all images form one list;
// group g sums its run of it, in order. A column sum finishes them.
const WG = 64u; // knob: columns per workgroup
struct Params { batch: u32, patches: u32, keep: u32, dim: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<f32>; // (batch, 1 + patches, dim)
@group(0) @binding(2) var<storage, read> ids_shuffle: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> dmask_token: array<f32>; // (groups, dim)

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
  let removed = p.patches - p.keep;
  let total = p.batch * removed;
  let run = (total + p.groups - 1u) / p.groups;
  let end = min(total, (group + 1u) * run);
  var sum = 0.0;
  for (var r = group * run; r < end; r++) {
    let image = r / removed;
    let row = 1u + ids_shuffle[image * p.patches + p.keep + r % removed];
    sum += dx[(image * (1u + p.patches) + row) * p.dim + c];
  }
  dmask_token[group * p.dim + c] = sum;
}
