// The vertical pass of PIL's resize, then the flip, and every byte through its channel's table of normalised values.
// One workgroup per line of an output image: the record of the line is the same for all its threads.
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads per line
struct Params { batch: u32, chans: u32, height: u32, width: u32, tap_words: u32, mid_words: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mid: array<u32>; // (mid_words): bytes (image height, width, chans) of every image
@group(0) @binding(2) var<storage, read> images: array<u32>; // (batch, 10): offset, pitch, height, width, mid, across, stride, down, stride, flip
@group(0) @binding(3) var<storage, read> taps: array<i32>; // (tap_words): records of first, count, coefficients
@group(0) @binding(4) var<storage, read> table: array<f32>; // (chans, 256)
@group(0) @binding(5) var<storage, read_write> img: array<f32>; // (batch, chans, height, width)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let line = wg.x + wg.y * groups.x;
  let b = line / p.height;
  if (b >= p.batch) { return; }
  let y = line % p.height;
  let image = b * 10u;
  let record = images[image + 7u] + y * images[image + 8u];
  let row = p.width * C;
  let start = images[image + 4u] * 4u + u32(taps[record]) * row;
  let count = u32(taps[record + 1u]);
  let flip = images[image + 9u] == 1u;
  for (var i = t; i < row; i += WG) {
    var byte = start + i;
    var sum = 1i << 21u;
    for (var j = 0u; j < count; j++) {
      sum += i32(extractBits(mid[byte >> 2u], 8u * (byte & 3u), 8u)) * taps[record + 2u + j];
      byte += row;
    }
    let c = i % C;
    let x = select(i / C, p.width - 1u - i / C, flip);
    img[((b * C + c) * p.height + y) * p.width + x] = table[c * 256u + u32(clamp(sum >> 22u, 0, 255))];
  }
}
