// argsort.mask for software adapters: a lane per element, no barrier; every lane reads the same noise value at a time.
const SG = 16u; // knob: subgroup size of the adapter
struct Params { batch: u32, patches: u32, keep: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> noise: array<f32>; // (batch, patches)
@group(0) @binding(2) var<storage, read_write> ids_shuffle: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> ids_restore: array<u32>; // (batch, patches)
@group(0) @binding(4) var<storage, read_write> ids_keep: array<u32>; // (batch, keep)
@group(0) @binding(5) var<storage, read_write> mask: array<f32>; // (batch, patches): 0 keep, 1 remove

@compute @workgroup_size(SG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let blocks = (p.patches + SG - 1u) / SG;
  let index = wg.x + wg.y * groups.x;
  let image = index / blocks;
  if (image >= p.batch) { return; }
  let row = image * p.patches;
  let i = (index % blocks) * SG + t;
  let own = noise[row + min(i, p.patches - 1u)];
  var rank = 0u;
  for (var j = 0u; j < p.patches; j++) {
    let v = noise[row + j];
    rank += select(0u, 1u, v < own || (v == own && j < i));
  }
  if (i < p.patches) {
    ids_shuffle[row + rank] = i;
    ids_restore[row + i] = rank;
    mask[row + i] = select(1.0, 0.0, rank < p.keep);
    if (rank < p.keep) { ids_keep[image * p.keep + rank] = i; }
  }
}
