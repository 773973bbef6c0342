// Random erasing (Zhong et al. 2020, mode "pixel"): inside of an image's box every value becomes N(0, 1), by Box and Muller from Philox: key
// (seed, stream), counter (place in the image, sample id, epoch). A thread takes a pixel value.
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32, seed: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (batch, chans, height, width)
@group(0) @binding(2) var<storage, read> boxes: array<vec4<u32>>; // (batch, 4): top, left, height, width; height 0 for none
@group(0) @binding(3) var<storage, read> ids: array<u32>; // (batch)
@group(0) @binding(4) var<storage, read> clock: array<u32>; // (2): epoch, step
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (batch, chans, height, width)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  let each = p.chans * p.height * p.width;
  let image = i / each;
  if (image >= p.batch) { return; }
  let box = boxes[image];
  let row = i / p.width % p.height;
  let column = i % p.width;
  let inside = row >= box.x && row < box.x + box.z && column >= box.y && column < box.y + box.w;
  var value = x[i];
  if (inside) {
    let words = philox4x32(vec4(i % each, ids[image], clock[0], 0u), vec2(p.seed, p.stream));
    // In (0, 1]: the logarithm of 0 is none.
    let u = (f32(words[0] >> 8u) + 1.0) * 0x1p-24f;
    // From -pi to pi: beyond that WGSL promises nothing of cos.
    value = sqrt(-2.0 * log(u)) * cos(6.2831853 * (f32(words[1] >> 8u) * 0x1p-24f - 0.5));
  }
  y[i] = value;
}
