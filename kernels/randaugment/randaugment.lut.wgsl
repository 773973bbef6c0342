// Tables of the operations that change every value by itself (Cubuk et al. 2020; the arithmetic is Pillow's): lut[c][v], from the image's own
// histogram where the operation asks for one. One workgroup an image; counts are whole numbers, so their order does not matter.
// 1 autocontrast, 2 equalize, 3 invert, 4 posterize to `value` bits, 5 solarize from `value` on, 6 solarize-add `value` below 128,
// 7 contrast by the factor `value` about the mean grey, 8 brightness by a factor; others: as it is.
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32, words: u32, slot: u32, slots: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>; // (batch, words): (height, width, chans) bytes of every image
@group(0) @binding(2) var<storage, read> plan: array<f32>; // (batch, slots, 8): operation, value, matrix
@group(0) @binding(3) var<storage, read_write> lut: array<u32>; // (batch, chans, 256)
var<workgroup> counts: array<atomic<u32>, C * 256u>;
var<workgroup> grey: atomic<u32>;
var<workgroup> greyHigh: atomic<u32>;

fn byte(image: u32, at: u32) -> u32 {
  return extractBits(bytes[image * p.words + (at >> 2u)], 8u * (at & 3u), 8u);
}

/** Pillow's blend of two bytes: beyond [0, 1] it clips, within it only cuts off. */
fn blended(low: u32, high: u32, factor: f32) -> u32 {
  return u32(clamp(f32(low) + factor * (f32(high) - f32(low)), 0.0, 255.0));
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let image = wg.x + wg.y * grid.x;
  if (image >= p.batch) { return; }
  let operation = u32(plan[(image * p.slots + p.slot) * 8u]);
  let value = plan[(image * p.slots + p.slot) * 8u + 1u];
  let pixels = p.height * p.width;
  for (var i = t; i < C * 256u; i += WG) { atomicStore(&counts[i], 0u); }
  if (t == 0u) { atomicStore(&grey, 0u); atomicStore(&greyHigh, 0u); }
  workgroupBarrier();
  if (operation == 1u || operation == 2u) {
    for (var i = t; i < pixels * C; i += WG) { atomicAdd(&counts[(i % C) * 256u + byte(image, i)], 1u); }
  }
  if (operation == 7u) {
    // The sum of greys in two words: it may pass 2^32.
    var sum = 0u;
    for (var i = t; i < pixels; i += WG) {
      var l = byte(image, i * C);
      if (C >= 3u) {
        l = (19595u * l + 38470u * byte(image, i * C + 1u) + 7471u * byte(image, i * C + min(2u, C - 1u)) + 32768u) >> 16u;
      }
      sum += l;
    }
    atomicAdd(&grey, sum & 0xffffu);
    atomicAdd(&greyHigh, sum >> 16u);
  }
  workgroupBarrier();
  var mean = 0u;
  if (operation == 7u) {
    // floor(sum / pixels + 1/2), in whole numbers: high * 65536 + low, divided digit by digit.
    let low = atomicLoad(&grey);
    let high = atomicLoad(&greyHigh) + (low >> 16u);
    let doubled = 2u * pixels;
    var rest = (2u * high) % doubled;
    var quotient = 0u;
    for (var bit = 0u; bit < 16u; bit++) {
      rest = 2u * rest;
      if (rest >= doubled) { rest -= doubled; quotient |= 1u << (15u - bit); }
    }
    mean = (quotient + (rest + 2u * (low & 0xffffu) + pixels) / doubled);
  }
  for (var c = t; c < C; c += WG) {
    let start = (image * C + c) * 256u;
    var lowest = 255u;
    var highest = 0u;
    var kinds = 0u;
    for (var v = 0u; v < 256u; v++) {
      if (atomicLoad(&counts[c * 256u + v]) > 0u) {
        lowest = min(lowest, v);
        highest = v;
        kinds++;
      }
    }
    let step = (pixels - atomicLoad(&counts[c * 256u + highest])) / 255u;
    var below = step / 2u;
    for (var v = 0u; v < 256u; v++) {
      var y = v;
      switch (operation) {
        case 1u: {
          if (highest > lowest) {
            y = u32(clamp((i32(v) - i32(lowest)) * 255 / i32(highest - lowest), 0, 255));
          }
        }
        case 2u: {
          if (kinds > 1u && step > 0u) { y = min(255u, below / step); }
          below += atomicLoad(&counts[c * 256u + v]);
        }
        case 3u: { y = 255u - v; }
        case 4u: { y = v & (0xffu << (8u - min(8u, u32(value)))); }
        case 5u: { y = select(255u - v, v, f32(v) < value); }
        case 6u: { y = select(v, min(255u, v + u32(value)), v < 128u); }
        case 7u: { y = blended(mean, v, value); }
        case 8u: { y = blended(0u, v, value); }
        default: { }
      }
      lut[start + v] = y;
    }
  }
}
