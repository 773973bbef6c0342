// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * w and xhat = (x - mean) * rstd, plus ds with ADD;
// sums of dy * xhat (dw) and dy (db) over this workgroup's rows. x and dy are read once: a thread keeps its columns in registers.
const ADD = false; // knob: the gradient ds of the skip path is added to dx
const WG = 64u; // knob: threads, a power of two
const PER = 4u; // knob: columns a thread owns, ceil(cols / WG)
struct Params { rows: u32, cols: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, cols): what was normalised
@group(0) @binding(2) var<storage, read> w: array<f32>; // (cols)
@group(0) @binding(3) var<storage, read> stat: array<f32>; // (rows, 2): mean, rstd
@group(0) @binding(4) var<storage, read> dy: array<f32>; // (rows, cols)
@group(0) @binding(5) var<storage, read> ds: array<f32>; // (rows, cols) with ADD
@group(0) @binding(6) var<storage, read_write> dx: array<f32>; // (rows, cols)
@group(0) @binding(7) var<storage, read_write> dwb: array<f32>; // (groups, 2, cols): partial dw, db

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let group = wg.x + wg.y * grid.x;
  if (group >= p.groups) { return; }
  let chunk = (p.rows + p.groups - 1u) / p.groups;
  let end = min(p.rows, (group + 1u) * chunk);
  var dw: array<f32, PER>;
  var db: array<f32, PER>;
  var xhat: array<f32, PER>;
  var g: array<f32, PER>;
  var weight: array<f32, PER>;
  for (var k = 0u; k < PER; k++) { // unroll
    let c = t + k * WG;
    if (c < p.cols) { weight[k] = w[c]; }
  }
  for (var row = group * chunk; row < end; row++) {
    let mean = stat[2u * row];
    let rstd = stat[2u * row + 1u];
    var sums = vec2<f32>();
    for (var k = 0u; k < PER; k++) { // unroll
      let c = t + k * WG;
      if (c < p.cols) {
        let d = dy[row * p.cols + c];
        xhat[k] = (x[row * p.cols + c] - mean) * rstd;
        g[k] = d * weight[k];
        dw[k] += d * xhat[k];
        db[k] += d;
        sums += vec2(g[k], g[k] * xhat[k]);
      }
    }
    let means = rowSum2(t, sums) / f32(p.cols);
    for (var k = 0u; k < PER; k++) { // unroll
      let c = t + k * WG;
      if (c < p.cols) {
        var d = rstd * (g[k] - means.x - xhat[k] * means.y);
        if (ADD) { d += ds[row * p.cols + c]; }
        dx[row * p.cols + c] = d;
      }
    }
  }
  for (var k = 0u; k < PER; k++) { // unroll
    let c = t + k * WG;
    if (c < p.cols) {
      dwb[2u * group * p.cols + c] = dw[k];
      dwb[(2u * group + 1u) * p.cols + c] = db[k];
    }
  }
}
