// One operation a image on bytes (Cubuk et al. 2020; the arithmetic is Pillow's): tables for those that change every value by itself, and
// 9 colour: between grey and the image by the factor `value`; 10 sharpness: between smoothed and the image;
// 11 affine: y(x) = image(A x), by cubic interpolation of four by four, `fill` outside. A thread makes a word of four bytes.
const C = 3u; // knob: channels, restated from the parameter chans
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32, words: u32, slot: u32, slots: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>; // (batch, words): (height, width, chans) bytes of every image
@group(0) @binding(2) var<storage, read> plan: array<f32>; // (batch, slots, 8): operation, value, matrix
@group(0) @binding(3) var<storage, read> lut: array<u32>; // (batch, chans, 256)
@group(0) @binding(4) var<storage, read> fill: array<u32>; // (chans)
@group(0) @binding(5) var<storage, read_write> out: array<u32>; // (batch, words)

fn at(image: u32, x: i32, y: i32, c: u32) -> u32 {
  let column = u32(clamp(x, 0, i32(p.width) - 1));
  let row = u32(clamp(y, 0, i32(p.height) - 1));
  let place = (row * p.width + column) * C + c;
  return extractBits(bytes[image * p.words + (place >> 2u)], 8u * (place & 3u), 8u);
}

/** Pillow's blend of two bytes. */
fn blended(low: u32, high: u32, factor: f32) -> u32 {
  return u32(clamp(f32(low) + factor * (f32(high) - f32(low)), 0.0, 255.0));
}

fn greyAt(image: u32, x: i32, y: i32) -> u32 {
  if (C < 3u) { return at(image, x, y, 0u); }
  return (19595u * at(image, x, y, 0u) + 38470u * at(image, x, y, 1u) + 7471u * at(image, x, y, min(2u, C - 1u)) + 32768u) >> 16u;
}

/** (sum of the nine + 4 times the middle) / 13, rounded; the image's edge stays as it is. */
fn smoothAt(image: u32, x: i32, y: i32, c: u32) -> u32 {
  let own = at(image, x, y, c);
  if (x == 0 || y == 0 || x + 1 >= i32(p.width) || y + 1 >= i32(p.height)) { return own; }
  var sum = 4u * own;
  for (var dy = -1; dy <= 1; dy++) {
    for (var dx = -1; dx <= 1; dx++) { sum += at(image, x + dx, y + dy, c); }
  }
  return (2u * sum + 13u) / 26u;
}

fn cubic(v: vec4<f32>, d: f32) -> f32 {
  let p2 = v.z - v.x;
  let p3 = 2.0 * (v.x - v.y) + v.z - v.w;
  let p4 = v.y - v.x - v.z + v.w;
  return v.y + d * (p2 + d * (p3 + d * p4));
}

fn rowAt(image: u32, x: i32, y: i32, c: u32, d: f32) -> f32 {
  return cubic(vec4<f32>(f32(at(image, x, y, c)), f32(at(image, x + 1, y, c)), f32(at(image, x + 2, y, c)), f32(at(image, x + 3, y, c))), d);
}

fn warped(image: u32, x: i32, y: i32, c: u32, m: u32) -> u32 {
  let place = vec2<f32>(f32(x) + 0.5, f32(y) + 0.5);
  var u = plan[m] * place.x + plan[m + 1u] * place.y + plan[m + 2u];
  var v = plan[m + 3u] * place.x + plan[m + 4u] * place.y + plan[m + 5u];
  if (u < 0.0 || u >= f32(p.width) || v < 0.0 || v >= f32(p.height)) { return fill[c]; }
  u -= 0.5;
  v -= 0.5;
  let column = i32(floor(u));
  let row = i32(floor(v));
  let dx = u - f32(column);
  let dy = v - f32(row);
  // Rows beyond the last one are the one before them; the first is clamped: Pillow's rule.
  var rows = vec4<f32>(rowAt(image, column - 1, row - 1, c, dx), 0.0, 0.0, 0.0);
  rows.y = rows.x;
  if (row >= 0 && row < i32(p.height)) { rows.y = rowAt(image, column - 1, row, c, dx); }
  rows.z = rows.y;
  if (row + 1 >= 0 && row + 1 < i32(p.height)) { rows.z = rowAt(image, column - 1, row + 1, c, dx); }
  rows.w = rows.z;
  if (row + 2 >= 0 && row + 2 < i32(p.height)) { rows.w = rowAt(image, column - 1, row + 2, c, dx); }
  return u32(clamp(cubic(rows, dy), 0.0, 255.0));
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let index = (wg.x + wg.y * grid.x) * WG + t;
  let image = index / p.words;
  if (image >= p.batch) { return; }
  let m = (image * p.slots + p.slot) * 8u;
  let operation = u32(plan[m]);
  let value = plan[m + 1u];
  var word = 0u;
  for (var k = 0u; k < 4u; k++) {
    let place = 4u * (index % p.words) + k;
    if (place < p.height * p.width * C) {
      let c = place % C;
      let x = i32(place / C % p.width);
      let y = i32(place / C / p.width);
      var b = at(image, x, y, c);
      switch (operation) {
        case 0u: { }
        case 9u: { b = blended(greyAt(image, x, y), b, value); }
        case 10u: { b = blended(smoothAt(image, x, y, c), b, value); }
        case 11u: { b = warped(image, x, y, c, m + 2u); }
        default: { b = lut[(image * C + c) * 256u + b]; }
      }
      word |= b << (8u * k);
    }
  }
  out[index] = word;
}
