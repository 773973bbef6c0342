// rowloss = mask * mean over a patch of (pred - target)^2, or with L1 of |pred - target|: the error of every removed patch.
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
@group(0) @binding(4) var<storage, read_write> rowloss: array<f32>; // (batch, patches)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = rowIndex(wg.x + wg.y * grid.x, t);
  if (index >= patchCount()) { return; }
  let weight = mask[index];
  if (weight == 0.0) {
    if (rowFirst(t) == 0u) { rowloss[index] = 0.0; }
    return;
  }
  let origin = patchOrigin(index);
  let plane = p.height * p.width;
  let stat = patchStat(t, origin);
  var sum = 0.0;
  for (var ij = rowFirst(t); ij < area(); ij += STRIDE) {
    let at = pixel(origin, ij);
    for (var c = 0u; c < CHANS; c++) {
      let d = pred[index * SIZE + ij * CHANS + c] - (img[at + c * plane] - stat.x) * stat.y;
      if (L1) { sum += abs(d); } else { sum += d * d; }
    }
  }
  sum = rowSum(t, sum);
  if (rowFirst(t) == 0u) { rowloss[index] = weight * sum / f32(SIZE); }
}
