// dpred = dloss * mask / sum(mask) * 2 / size * (pred - target), with L1 1 / size * sign(pred - target); 0 where nothing is masked.
const NORM = true; // knob: the target is normalised per patch
const L1 = false; // knob: absolute differences instead of squares
const WG = 64u; // knob: threads, a power of two
const CHANS = 3u; // knob: chans
const PATCH = 16u; // knob: patch_size
const WRITTEN = true; // knob: loops over pixels end where compilers know and write them out
struct Params { batch: u32, chans: u32, height: u32, width: u32, patch_size: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> img: array<f32>; // (batch, chans, height, width)
@group(0) @binding(2) var<storage, read> pred: array<f32>; // (batch, patches, patch_size^2 * chans)
@group(0) @binding(3) var<storage, read> mask: array<f32>; // (batch, patches): 1 = removed
@group(0) @binding(4) var<storage, read> total: array<f32>; // (2): loss, sum of mask
@group(0) @binding(5) var<storage, read> dloss: array<f32>; // (1)
@group(0) @binding(6) var<storage, read_write> dpred: array<f32>; // (batch, patches, patch_size^2 * chans)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = rowIndex(wg.x + wg.y * grid.x, t);
  if (index >= patchCount()) { return; }
  let origin = patchOrigin(index);
  let plane = p.height * p.width;
  let weight = mask[index];
  var stat = vec2<f32>();
  var scale = 0.0;
  if (weight != 0.0) {
    stat = patchStat(t, origin);
    scale = dloss[0] * weight / total[1] * (select(2.0, 1.0, L1) / f32(SIZE));
  }
  for (var ij = rowFirst(t); ij < area(); ij += STRIDE) {
    let at = pixel(origin, ij);
    for (var c = 0u; c < CHANS; c++) {
      let e = index * SIZE + ij * CHANS + c;
      var d = 0.0;
      if (weight != 0.0) {
        d = pred[e] - (img[at + c * plane] - stat.x) * stat.y;
        if (L1) { d = sign(d); }
        d *= scale;
      }
      dpred[e] = d;
    }
  }
}
