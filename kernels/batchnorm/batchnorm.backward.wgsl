// Gradient of batchnorm.normalize, with xh = (x - mean) / sqrt(variance + eps): of a batch's own mean and variance,
//   dx = (dy - mean_r(dy) - xh mean_r(dy xh)) / sqrt(variance + eps);   with FIXED ones (evaluation), dx = dy / sqrt(variance + eps).
// A thread takes a column.
const FIXED = false; // knob: mean and variance are not of this batch
const WG = 64u; // knob: threads
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, cols)
@group(0) @binding(2) var<storage, read> mean: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read> variance: array<f32>; // (cols)
@group(0) @binding(4) var<storage, read> dy: array<f32>; // (rows, cols)
@group(0) @binding(5) var<storage, read_write> dx: array<f32>; // (rows, cols)

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  let c = at.x;
  if (c >= p.cols) { return; }
  let centre = mean[c];
  let scale = 1.0 / sqrt(variance[c] + p.eps);
  var sums = vec2<f32>();
  if (!FIXED) {
    for (var r = 0u; r < p.rows; r++) {
      let i = r * p.cols + c;
      sums += dy[i] * vec2<f32>(1.0, (x[i] - centre) * scale);
    }
    sums /= f32(p.rows);
  }
  for (var r = 0u; r < p.rows; r++) {
    let i = r * p.cols + c;
    dx[i] = (dy[i] - sums.x - (x[i] - centre) * scale * sums.y) * scale;
  }
}
