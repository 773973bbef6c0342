// dpred = dloss * mask / sum(mask) * 2 / size * (pred - target), with L1 1 / size * sign(pred - target); 0 where nothing is
// masked: as loss.backward, four neighbouring pixels of a row at a time, whose channels stay in registers.
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
@group(0) @binding(4) var<storage, read> total: array<f32>; // (2): loss, sum of mask
@group(0) @binding(5) var<storage, read> dloss: array<f32>; // (1)
@group(0) @binding(6) var<storage, read_write> dpred: array<vec4<f32>>; // (batch, patches, patch_size^2 * chans)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = wg.x + wg.y * grid.x;
  if (index >= patchCount()) { return; }
  let first = index * QUADS * CHANS;
  let weight = mask[index];
  if (weight == 0.0) {
    for (var e = t; e < QUADS * CHANS; e += WG) { dpred[first + e] = vec4<f32>(); }
    return;
  }
  var x: Quads;
  var y: Quads;
  readQuads(index, t, &x, &y);
  let scale = dloss[0] * weight / total[1] * (select(2.0, 1.0, L1) / f32(SIZE));
  let stat = quadStat(t, &x);
  for (var k = 0u; k < PER; k++) { // unroll
    let q = t + k * WG;
    if (q < QUADS) {
      for (var c = 0u; c < CHANS; c++) { // unroll
        var d = y[k * CHANS + c] - (inOrder(&x, k, c) - stat.x) * stat.y;
        if (L1) { d = sign(d); }
        dpred[first + q * CHANS + c] = d * scale;
      }
    }
  }
}
