// dx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * w and xhat = (x - mean) * rstd, plus ds with ADD;
// sums of dy * xhat (dw), of dy (db) and with SUM of dx over this workgroup's rows. x and dy are read once: a thread keeps its columns in registers.
const ADD = false; // knob: the gradient ds of the skip path is added to dx
const SUM = false; // knob: dx is summed over its rows too
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads: whole subgroups, or a power of two
const PER = 1u; // knob: vectors a thread owns, ceil(cols / VECTOR / WG)
const WHOLE = false; // knob: threads times vectors are the columns: no load is behind an `if`, where it is waited for alone
const AHEAD = true; // knob: a row is on its way while the one before is worked on, as GPUs want it; else each number is loaded where it is used
alias Stored = vec4<f32>; // stored: HALF
struct Params { rows: u32, cols: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (rows, cols): what was normalised
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // (cols)
@group(0) @binding(3) var<storage, read> stat: array<f32>; // (rows, 2): mean, rstd
@group(0) @binding(4) var<storage, read> dy: array<Stored>; // (rows, cols)
@group(0) @binding(5) var<storage, read> ds: array<vec4<f32>>; // (rows, cols) with ADD
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>; // (rows, cols)
@group(0) @binding(7) var<storage, read_write> sums: array<vec4<f32>>; // (groups, 2 or with SUM 3, cols): partial dw, db, sums of dx

fn wide(q: Stored) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

// Where a thread finds its vector k of a row; threads beyond the last one repeat it.
fn columnOf(t: u32, k: u32, vectors: u32) -> u32 {
  return select(min(t + k * WG, vectors - 1u), t + k * WG, WHOLE);
}

fn total(v: vec4<f32>) -> f32 {
  return v.x + v.y + v.z + v.w;
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let group = wg.x + wg.y * grid.x;
  if (group >= p.groups) { return; }
  let vectors = p.cols / VECTOR;
  let chunk = (p.rows + p.groups - 1u) / p.groups;
  let end = min(p.rows, (group + 1u) * chunk);
  var dw: array<vec4<f32>, PER>;
  var db: array<vec4<f32>, PER>;
  var dxSum: array<vec4<f32>, PER>;
  var xhat: array<vec4<f32>, PER>;
  var g: array<vec4<f32>, PER>;
  var skip: array<vec4<f32>, PER>;
  var weight: array<vec4<f32>, PER>;
  for (var k = 0u; k < PER; k++) { // unroll
    let c = t + k * WG;
    if (WHOLE || c < vectors) { weight[k] = w[c]; }
  }
  let begin = group * chunk;
  var nextX: array<vec4<f32>, PER>;
  var nextDy: array<Stored, PER>;
  var nextDs: array<vec4<f32>, PER>;
  var nextStat = vec2<f32>();
  if (AHEAD && begin < end) {
    for (var k = 0u; k < PER; k++) { // unroll
      let at = begin * vectors + columnOf(t, k, vectors);
      nextX[k] = x[at];
      nextDy[k] = dy[at];
      if (ADD) { nextDs[k] = ds[at]; }
    }
    nextStat = vec2(stat[2u * begin], stat[2u * begin + 1u]);
  }
  for (var row = begin; row < end; row++) {
    if (AHEAD) {
      for (var k = 0u; k < PER; k++) { // unroll
        xhat[k] = nextX[k];
        g[k] = wide(nextDy[k]);
        if (ADD) { skip[k] = nextDs[k]; }
      }
    }
    var moments = nextStat;
    if (!AHEAD) { moments = vec2(stat[2u * row], stat[2u * row + 1u]); }
    let mean = moments.x;
    let rstd = moments.y;
    if (AHEAD) {
      // The last row again where none follows.
      let next = min(row + 1u, end - 1u);
      for (var k = 0u; k < PER; k++) { // unroll
        let at = next * vectors + columnOf(t, k, vectors);
        nextX[k] = x[at];
        nextDy[k] = dy[at];
        if (ADD) { nextDs[k] = ds[at]; }
      }
      nextStat = vec2(stat[2u * next], stat[2u * next + 1u]);
    }
    var sum = vec4<f32>();
    var product = vec4<f32>();
    for (var k = 0u; k < PER; k++) { // unroll
      let c = t + k * WG;
      if (WHOLE || c < vectors) {
        if (!AHEAD) {
          g[k] = wide(dy[row * vectors + c]);
          xhat[k] = x[row * vectors + c];
        }
        let d = g[k];
        xhat[k] = (xhat[k] - mean) * rstd;
        g[k] = d * weight[k];
        dw[k] += d * xhat[k];
        db[k] += d;
        sum += g[k];
        product += g[k] * xhat[k];
      }
    }
    let means = rowSum2(t, vec2(total(sum), total(product))) / f32(p.cols);
    for (var k = 0u; k < PER; k++) { // unroll
      let c = t + k * WG;
      if (WHOLE || c < vectors) {
        var d = rstd * (g[k] - means.x - xhat[k] * means.y);
        if (ADD && AHEAD) { d += skip[k]; }
        if (ADD && !AHEAD) { d += ds[row * vectors + c]; }
        if (SUM) { dxSum[k] += d; }
        dx[row * vectors + c] = d;
      }
    }
  }
  for (var k = 0u; k < PER; k++) { // unroll
    let c = t + k * WG;
    if (WHOLE || c < vectors) {
      let at = group * select(2u, 3u, SUM) * vectors + c;
      sums[at] = dw[k];
      sums[at + vectors] = db[k];
      if (SUM) { sums[at + 2u * vectors] = dxSum[k]; }
    }
  }
}
