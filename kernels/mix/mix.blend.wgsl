// Two images in one, each with the one that is as far from the batch's end as it is from its beginning: by weight, y = lambda x +
// (1 - lambda) partner (mixup, Zhang et al. 2018), or by area, the partner inside of a box and x outside (cutmix, Yun et al. 2019).
// A thread takes a pixel value.
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (batch, chans, height, width)
@group(0) @binding(2) var<storage, read> how: array<f32>; // (5): lambda, and the box: top, left, bottom, right; an empty one for mixup
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (batch, chans, height, width)

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
  let partner = x[(p.batch - 1u - image) * each + i % each];
  let row = f32(i / p.width % p.height);
  let column = f32(i % p.width);
  if (how[3] > how[1]) {
    let inside = row >= how[1] && row < how[3] && column >= how[2] && column < how[4];
    y[i] = select(x[i], partner, inside);
  } else {
    y[i] = how[0] * x[i] + (1.0 - how[0]) * partner;
  }
}
