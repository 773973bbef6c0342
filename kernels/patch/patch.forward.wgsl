// rows[b, k] = the pixels of patch ids[b, k] (or of patch k with ALL), patches counted row by row. One workgroup per patch.
const ALL = false; // knob: every patch in row-major order, without ids
const ORDER = 0u; // knob: within a row 0: (c, i, j) as a convolution's weight, 1: (i, j, c) as facebookresearch/mae's patchify
const P = 16u; // knob: side of a patch, restated from the parameter patch_size
const C = 3u; // knob: channels, restated from the parameter chans
const VECTOR = 4u; // knob: pixels of a row at a time, 1 for single ones and with ORDER 1 (lib/elements.ts)
const WG = 64u; // knob: threads per patch
struct Params { batch: u32, chans: u32, height: u32, width: u32, patch_size: u32, count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> img: array<vec4<f32>>; // (batch, chans, height, width)
@group(0) @binding(2) var<storage, read> ids: array<u32>; // (batch, count) without ALL
@group(0) @binding(3) var<storage, read_write> rows: array<vec4<f32>>; // (batch, count, chans * patch_size * patch_size)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = wg.x + wg.y * groups.x;
  if (row >= p.batch * p.count) { return; }
  var index = row % p.count;
  if (!ALL) { index = ids[row]; }
  let across = p.width / P;
  let corner = row / p.count * C * p.height * p.width + index / across * P * p.width + index % across * P;
  let size = C * P * P / VECTOR;
  for (var e = t; e < size; e += WG) {
    var c = e / (P * P / VECTOR);
    var i = e / (P / VECTOR) % P;
    var j = e % (P / VECTOR) * VECTOR;
    if (ORDER == 1u) {
      c = e % C;
      i = e / (P * C);
      j = e / C % P;
    }
    rows[row * size + e] = img[(corner + (c * p.height + i) * p.width + j) / VECTOR];
  }
}
