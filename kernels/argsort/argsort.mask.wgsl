// Ranks of the noise within each image, ascending, ties by index (stable): rank = ids_restore, scattered = ids_shuffle.
// Every element counts how many come before it, so there is no sort network and each output word has one owner.
// One workgroup per image; the noise passes through workgroup memory in tiles. Noise must not hold NaN.
const WG = 256u; // knob: threads per image and noise values per tile
struct Params { batch: u32, patches: u32, keep: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> noise: array<f32>; // (batch, patches)
@group(0) @binding(2) var<storage, read_write> ids_shuffle: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> ids_restore: array<u32>; // (batch, patches)
@group(0) @binding(4) var<storage, read_write> ids_keep: array<u32>; // (batch, keep)
@group(0) @binding(5) var<storage, read_write> mask: array<f32>; // (batch, patches): 0 keep, 1 remove

var<workgroup> tile: array<f32, WG>;

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let image = wg.x + wg.y * groups.x;
  if (image >= p.batch) { return; }
  let row = image * p.patches;
  for (var base = 0u; base < p.patches; base += WG) {
    let i = base + t;
    let own = noise[row + min(i, p.patches - 1u)];
    var rank = 0u;
    for (var start = 0u; start < p.patches; start += WG) {
      tile[t] = noise[row + min(start + t, p.patches - 1u)];
      workgroupBarrier();
      let count = min(WG, p.patches - start);
      for (var j = 0u; j < count; j++) {
        let v = tile[j];
        rank += select(0u, 1u, v < own || (v == own && start + j < i));
      }
      workgroupBarrier();
    }
    if (i < p.patches) {
      ids_shuffle[row + rank] = i;
      ids_restore[row + i] = rank;
      mask[row + i] = select(1.0, 0.0, rank < p.keep);
      if (rank < p.keep) { ids_keep[image * p.keep + rank] = i; }
    }
  }
}
