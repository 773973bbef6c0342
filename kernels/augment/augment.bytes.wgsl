// The vertical pass of PIL's resize, then the flip, as bytes: what operations on bytes (kernels/randaugment) take. A thread makes a word.
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32, tap_words: u32, mid_words: u32, words: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mid: array<u32>; // (mid_words): bytes (image height, width, chans) of every image
@group(0) @binding(2) var<storage, read> images: array<u32>; // (batch, 10): offset, pitch, height, width, mid, across, stride, down, stride, flip
@group(0) @binding(3) var<storage, read> taps: array<i32>; // (tap_words): records of first, count, coefficients
@group(0) @binding(4) var<storage, read_write> bytes: array<u32>; // (batch, words): (height, width, chans) bytes of every image

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = (wg.x + wg.y * groups.x) * WG + t;
  let b = index / p.words;
  if (b >= p.batch) { return; }
  let image = b * 10u;
  let row = p.width * C;
  var word = 0u;
  for (var k = 0u; k < 4u; k++) {
    let place = 4u * (index % p.words) + k;
    if (place < p.height * row) {
      let y = place / row;
      let x = place % row / C;
      let column = select(x, p.width - 1u - x, images[image + 9u] == 1u);
      let record = images[image + 7u] + y * images[image + 8u];
      var at = images[image + 4u] * 4u + u32(taps[record]) * row + column * C + place % C;
      let count = u32(taps[record + 1u]);
      var sum = 1i << 21u;
      for (var j = 0u; j < count; j++) {
        sum += i32(extractBits(mid[at >> 2u], 8u * (at & 3u), 8u)) * taps[record + 2u + j];
        at += row;
      }
      word |= u32(clamp(sum >> 22u, 0, 255)) << (8u * k);
    }
  }
  bytes[index] = word;
}
