// Mean and biased variance of every column of a batch (Ioffe & Szegedy 2015), in two passes so that a large mean costs no digits, and
// the running ones: running = (1 - momentum) running + momentum batch, the variance's with rows - 1. A workgroup takes TX columns,
// its threads TY rows at a time.
const TX = 16u; // knob: columns of a workgroup
const TY = 16u; // knob: rows taken at a time, a power of two
struct Params { rows: u32, cols: u32, momentum: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, cols)
@group(0) @binding(2) var<storage, read_write> running_mean: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read_write> running_var: array<f32>; // (cols)
@group(0) @binding(4) var<storage, read_write> mean: array<f32>; // (cols)
@group(0) @binding(5) var<storage, read_write> variance: array<f32>; // (cols)

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(global_invocation_id) at: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let c = at.x;
  let inside = c < p.cols;
  let end = select(0u, p.rows, inside);
  var sum = 0.0;
  for (var r = local.y; r < end; r += TY) { sum += x[r * p.cols + c]; }
  let centre = columnSum(t, vec2(sum, 0.0)).x / f32(p.rows);
  var squares = 0.0;
  for (var r = local.y; r < end; r += TY) {
    let d = x[r * p.cols + c] - centre;
    squares += d * d;
  }
  squares = columnSum(t, vec2(squares, 0.0)).x;
  if (!inside || local.y > 0u) { return; }
  mean[c] = centre;
  variance[c] = squares / f32(p.rows);
  running_mean[c] += p.momentum * (centre - running_mean[c]);
  running_var[c] += p.momentum * (squares / f32(p.rows - 1u) - running_var[c]);
}
