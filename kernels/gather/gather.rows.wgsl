// y[b, j] = x[b, ids[b, j]]. One workgroup per row.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per row
struct Params { batch: u32, rows: u32, count: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (batch, rows, dim)
@group(0) @binding(2) var<storage, read> ids: array<u32>; // (batch, count)
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (batch, count, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let row = wg.x + wg.y * groups.x;
  if (row >= p.batch * p.count) { return; }
  let start = (row / p.count * p.rows + ids[row]) * width;
  for (var c = t; c < width; c += WG) { y[row * width + c] = x[start + c]; }
}
