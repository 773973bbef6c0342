// Gradient of batchnorm.normalize, with xh = (x - mean) / sqrt(variance + eps): of a batch's own mean and variance,
//   dx = (dy - mean_r(dy) - xh mean_r(dy xh)) / sqrt(variance + eps);   with FIXED ones (evaluation), dx = dy / sqrt(variance + eps).
// A workgroup takes TX columns, its threads TY rows at a time.
const FIXED = false; // knob: mean and variance are not of this batch
const TX = 16u; // knob: columns of a workgroup
const TY = 16u; // knob: rows taken at a time, a power of two
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, cols)
@group(0) @binding(2) var<storage, read> mean: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read> variance: array<f32>; // (cols)
@group(0) @binding(4) var<storage, read> dy: array<f32>; // (rows, cols)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (rows, cols)

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(global_invocation_id) at: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let c = min(at.x, p.cols - 1u);
  let end = select(0u, p.rows, at.x < p.cols);
  let centre = mean[c];
  let scale = 1.0 / sqrt(variance[c] + p.eps);
  var means = vec2<f32>();
  if (!FIXED) {
    for (var r = local.y; r < end; r += TY) {
      let i = r * p.cols + c;
      means += dy[i] * vec2<f32>(1.0, (x[i] - centre) * scale);
    }
    means = columnSum(t, means) / f32(p.rows);
  }
  for (var r = local.y; r < end; r += TY) {
    let i = r * p.cols + c;
    dx[i] = (dy[i] - means.x - (x[i] - centre) * scale * means.y) * scale;
  }
}
