// The horizontal pass of PIL's resize on many crops at once: u8 in, u8 out, i32 in between, clipped to 8 bits.
// Bytes are packed four to a word and one thread owns a whole output word. An image's intermediate is (its height, width,
// chans) bytes and starts at a multiple of 64 words, so that a workgroup serves one image; the rest of the last block is 0.
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads, each with a word; divides the 64 of layout.ts's BLOCK
struct Params { batch: u32, chans: u32, width: u32, words: u32, tap_words: u32, mid_words: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>; // (words): bytes of all images, channels interleaved
@group(0) @binding(2) var<storage, read> images: array<u32>; // (batch, 10): offset, pitch, height, width, mid, across, stride, down, stride, flip
@group(0) @binding(3) var<storage, read> taps: array<i32>; // (tap_words): records of first, count, coefficients
@group(0) @binding(4) var<storage, read_write> mid: array<u32>; // (mid_words)

/** The last image whose intermediate starts at or before `word`. */
fn owner(word: u32) -> u32 {
  var low = 0u;
  var high = p.batch;
  while (high - low > 1u) {
    let half = (low + high) / 2u;
    if (images[half * 10u + 4u] <= word) { low = half; } else { high = half; }
  }
  return low;
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let first = (wg.x + wg.y * groups.x) * WG;
  if (first >= p.mid_words) { return; }
  let image = owner(first) * 10u;
  let offset = images[image];
  let pitch = images[image + 1u];
  let bytes = images[image + 2u] * p.width * C;
  let across = images[image + 5u];
  let stride = images[image + 6u];
  let at = (first + t - images[image + 4u]) * 4u;
  var word = 0u;
  for (var k = 0u; k < 4u; k++) {
    let byte = at + k;
    if (byte < bytes) {
      let pixel = byte / C;
      let record = across + pixel % p.width * stride;
      var from_byte = offset + pixel / p.width * pitch + u32(taps[record]) * C + byte % C;
      let count = u32(taps[record + 1u]);
      var sum = 1i << 21u;
      for (var j = 0u; j < count; j++) {
        sum += i32(extractBits(pixels[from_byte >> 2u], 8u * (from_byte & 3u), 8u)) * taps[record + 2u + j];
        from_byte += C;
      }
      word |= u32(clamp(sum >> 22u, 0, 255)) << (8u * k);
    }
  }
  if (first + t < p.mid_words) { mid[first + t] = word; }
}
