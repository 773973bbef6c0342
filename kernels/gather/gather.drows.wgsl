// dx[b, i] = dy[b, inverse[b, i]] where row i was gathered (inverse < count), else 0; for ids that are distinct within an image.
// One workgroup per row.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per row
struct Params { batch: u32, rows: u32, count: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>; // (batch, count, dim)
@group(0) @binding(2) var<storage, read> inverse: array<u32>; // (batch, rows)
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>; // (batch, rows, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let row = wg.x + wg.y * groups.x;
  if (row >= p.batch * p.rows) { return; }
  let j = inverse[row];
  if (j >= p.count) {
    for (var c = t; c < width; c += WG) { dx[row * width + c] = vec4<f32>(); }
    return;
  }
  let start = (row / p.rows * p.count + j) * width;
  for (var c = t; c < width; c += WG) { dx[row * width + c] = dy[start + c]; }
}
