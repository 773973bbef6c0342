// target = the pixels of every patch in patchify order, normalised per patch with NORM.
const NORM = true; // knob: the target is normalised per patch
const WG = 64u; // knob: threads, a power of two
const CHANS = 3u; // knob: chans
const PATCH = 16u; // knob: patch_size
const WRITTEN = true; // knob: loops over pixels end where compilers know and write them out
struct Params { batch: u32, chans: u32, height: u32, width: u32, patch_size: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> img: array<f32>; // (batch, chans, height, width)
@group(0) @binding(2) var<storage, read_write> targets: array<f32>; // (batch, patches, patch_size^2 * chans)

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
  let stat = patchStat(t, origin);
  for (var ij = rowFirst(t); ij < area(); ij += STRIDE) {
    let at = pixel(origin, ij);
    for (var c = 0u; c < CHANS; c++) {
      targets[index * SIZE + ij * CHANS + c] = (img[at + c * plane] - stat.x) * stat.y;
    }
  }
}
