// rowloss = mask * mean over a patch of (pred - target)^2, or with L1 of |pred - target|: as loss.forward, four neighbouring
// pixels of a row at a time, whose channels stay in registers: image and prediction are read once.
const NORM = true; // knob: the target is normalised per patch
const L1 = false; // knob: absolute differences instead of squares
const WG = 32u; // knob: threads, a power of two
const CHANS = 3u; // knob: chans
const PATCH = 16u; // knob: patch_size, a multiple of 4
const PER = 2u; // knob: quads of pixels a thread owns, ceil(patch_size^2 / 4 / WG)
const COUNT = PER * CHANS;
struct Params { batch: u32, chans: u32, height: u32, width: u32, patch_size: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> img: array<vec4<f32>>; // (batch, chans, height, width), width a multiple of 4
@group(0) @binding(2) var<storage, read> pred: array<vec4<f32>>; // (batch, patches, patch_size^2 * chans)
@group(0) @binding(3) var<storage, read> mask: array<f32>; // (batch, patches): 1 = removed
@group(0) @binding(4) var<storage, read_write> rowloss: array<f32>; // (batch, patches)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = wg.x + wg.y * grid.x;
  if (index >= patchCount()) { return; }
  let weight = mask[index];
  if (weight == 0.0) {
    if (t == 0u) { rowloss[index] = 0.0; }
    return;
  }
  var x: Quads;
  var y: Quads;
  readQuads(index, t, &x, &y);
  let stat = quadStat(t, &x);
  var sum = 0.0;
  for (var k = 0u; k < PER; k++) { // unroll
    if (t + k * WG < QUADS) {
      for (var c = 0u; c < CHANS; c++) { // unroll
        let d = y[k * CHANS + c] - (inOrder(&x, k, c) - stat.x) * stat.y;
        if (L1) { sum += across4(abs(d)); } else { sum += dot(d, d); }
      }
    }
  }
  sum = rowSum(t, sum);
  if (t == 0u) { rowloss[index] = weight * sum / f32(SIZE); }
}
