// y = (x - mean) / sqrt(variance + eps), column by column; no affine part. A thread takes an element.
const WG = 64u; // knob: threads
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, cols)
@group(0) @binding(2) var<storage, read> mean: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read> variance: array<f32>; // (cols)
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // (rows, cols)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  if (i >= p.rows * p.cols) { return; }
  let c = i % p.cols;
  y[i] = (x[i] - mean[c]) / sqrt(variance[c] + p.eps);
}
