// s = x + r (ADD);  y = w * (s - mean) * rstd + b;  rstd = 1 / sqrt(var + eps), biased variance, two passes.
// A row stays in registers, as do w and b while a workgroup takes its R rows; without ADD, s is x itself, not written.
const ADD = false; // knob: a residual r is added first and the sum s is kept
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per row: whole subgroups, or a power of two
const PER = 1u; // knob: vectors a thread owns, ceil(cols / VECTOR / WG)
const R = 1u; // knob: rows of a workgroup, a multiple of AT_ONCE
const AT_ONCE = 1u; // knob: rows that are worked on side by side, 1 or 2: twice the loads under way, half the waits for sums
const WHOLE = false; // knob: threads times vectors are the columns: no load is behind an `if`, where it is waited for alone
const AHEAD = true; // knob: all loads of a row are asked for before any is used, w and b last, as GPUs want it; else each is used at once
const HELD = PER * AT_ONCE;
alias Stored = vec4<f32>; // stored: HALF
struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (rows, cols)
@group(0) @binding(2) var<storage, read> r: array<vec4<f32>>; // (rows, cols) with ADD
@group(0) @binding(3) var<storage, read> w: array<vec4<f32>>; // (cols)
@group(0) @binding(4) var<storage, read> b: array<vec4<f32>>; // (cols)
@group(0) @binding(5) var<storage, read_write> s: array<vec4<f32>>; // (rows, cols) with ADD
@group(0) @binding(6) var<storage, read_write> y: array<Stored>; // (rows, cols)
@group(0) @binding(7) var<storage, read_write> stat: array<f32>; // (rows, 2): mean, rstd

fn narrow(v: vec4<f32>) -> Stored { return Stored(v); } // stored: HALF

fn total(v: vec4<f32>) -> f32 {
  return v.x + v.y + v.z + v.w;
}

// Over the workgroup, for each row at once.
fn sums(t: u32, own: vec2<f32>) -> vec2<f32> {
  if (AT_ONCE == 1u) { return vec2(rowSum(t, own.x)); }
  return rowSum2(t, own);
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let vectors = p.cols / VECTOR;
  var weight: array<vec4<f32>, PER>;
  var bias: array<vec4<f32>, PER>;
  var v: array<vec4<f32>, HELD>;
  if (!AHEAD) {
    for (var k = 0u; k < PER; k++) { // unroll
      let c = t + k * WG;
      if (WHOLE || c < vectors) {
        weight[k] = w[c];
        bias[k] = b[c];
      }
    }
  }
  let first = (wg.x + wg.y * grid.x) * R;
  for (var index = first; index < min(p.rows, first + R); index += AT_ONCE) {
    // With a value: in a loop Dawn 0.6.2 does not zero an array that is declared without.
    var sum = array<vec4<f32>, AT_ONCE>();
    for (var j = 0u; j < AT_ONCE; j++) { // unroll
      // Where the last row has none beside it, it is computed twice.
      let row = min(index + j, p.rows - 1u) * vectors;
      for (var k = 0u; k < PER; k++) { // unroll
        let c = t + k * WG;
        if (WHOLE || c < vectors) {
          var value = x[row + c];
          if (ADD) {
            value += r[row + c];
            if (!AHEAD) { s[row + c] = value; }
          }
          v[j * PER + k] = value;
          sum[j] += value;
        }
      }
    }
    if (AHEAD && index == first) {
      for (var k = 0u; k < PER; k++) { // unroll
        let c = t + k * WG;
        if (WHOLE || c < vectors) {
          weight[k] = w[c];
          bias[k] = b[c];
        }
      }
    }
    if (ADD && AHEAD) {
      for (var j = 0u; j < AT_ONCE; j++) { // unroll
        let row = min(index + j, p.rows - 1u) * vectors;
        for (var k = 0u; k < PER; k++) { // unroll
          let c = t + k * WG;
          if (WHOLE || c < vectors) { s[row + c] = v[j * PER + k]; }
        }
      }
    }
    let mean = sums(t, vec2(total(sum[0]), total(sum[AT_ONCE - 1u]))) / f32(p.cols);
    var squares = array<vec4<f32>, AT_ONCE>();
    for (var j = 0u; j < AT_ONCE; j++) { // unroll
      for (var k = 0u; k < PER; k++) { // unroll
        let apart = v[j * PER + k] - mean[j];
        v[j * PER + k] = apart;
        if (WHOLE || t + k * WG < vectors) { squares[j] += apart * apart; }
      }
    }
    let rstd = inverseSqrt(sums(t, vec2(total(squares[0]), total(squares[AT_ONCE - 1u]))) / f32(p.cols) + p.eps);
    for (var j = 0u; j < AT_ONCE; j++) { // unroll
      let at = min(index + j, p.rows - 1u);
      for (var k = 0u; k < PER; k++) { // unroll
        let c = t + k * WG;
        if (WHOLE || c < vectors) { y[at * vectors + c] = narrow(v[j * PER + k] * rstd[j] * weight[k] + bias[k]); }
      }
      if (t == 0u) {
        stat[2u * at] = mean[j];
        stat[2u * at + 1u] = rstd[j];
      }
    }
  }
}
