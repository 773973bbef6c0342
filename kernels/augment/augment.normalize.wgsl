// Bytes to normalised images: img[b][c][y][x] = table[c][byte]. A thread takes a value.
const WG = 64u; // knob: threads
struct Params { batch: u32, chans: u32, height: u32, width: u32, words: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> bytes: array<u32>; // (batch, words): (height, width, chans) bytes of every image
@group(0) @binding(2) var<storage, read> table: array<f32>; // (chans, 256)
@group(0) @binding(3) var<storage, read_write> img: array<f32>; // (batch, chans, height, width)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = (wg.x + wg.y * groups.x) * WG + t;
  let area = p.height * p.width;
  let b = index / (area * p.chans);
  if (b >= p.batch) { return; }
  let c = index / area % p.chans;
  let place = index % area * p.chans + c;
  let byte = extractBits(bytes[b * p.words + (place >> 2u)], 8u * (place & 3u), 8u);
  img[index] = table[c * 256u + byte];
}
