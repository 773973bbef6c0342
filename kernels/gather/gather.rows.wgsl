// y[b, j] = x[b, ids[b, j]]. One workgroup per row.
const WG = 64u; // knob: threads per row
struct Params { batch: u32, rows: u32, count: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (batch, rows, dim)
@group(0) @binding(2) var<storage, read> ids: array<u32>; // (batch, count)
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // (batch, count, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = wg.x + wg.y * groups.x;
  if (row >= p.batch * p.count) { return; }
  let start = (row / p.count * p.rows + ids[row]) * p.dim;
  for (var c = t; c < p.dim; c += WG) { y[row * p.dim + c] = x[start + c]; }
}
