// Unpatchify: every pixel takes its value from its patch's row; the transpose (and inverse) of patch.forward with ALL.
// One workgroup per image line.
const ORDER = 0u; // knob: within a row 0: (c, i, j) as a convolution's weight, 1: (i, j, c) as facebookresearch/mae's patchify
const P = 16u; // knob: side of a patch, restated from the parameter patch_size
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads per line
struct Params { batch: u32, chans: u32, height: u32, width: u32, patch_size: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>; // (batch, patches, chans * patch_size * patch_size)
@group(0) @binding(2) var<storage, read_write> img: array<f32>; // (batch, chans, height, width)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let line = wg.x + wg.y * groups.x;
  let image = line / (C * p.height);
  if (image >= p.batch) { return; }
  let c = line / p.height % C;
  let y = line % p.height;
  let across = p.width / P;
  let first = (image * (p.height / P) + y / P) * across;
  let i = y % P;
  for (var x = t; x < p.width; x += WG) {
    let j = x % P;
    var e = (c * P + i) * P + j;
    if (ORDER == 1u) { e = (i * P + j) * C + c; }
    img[line * p.width + x] = rows[(first + x / P) * (C * P * P) + e];
  }
}
