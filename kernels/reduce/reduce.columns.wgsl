// Sums over rows: y[g, c] = sum of x[r, offset + c] over the g-th chunk of rows. Threads lie along columns, TY rows at a
// time. Rows of x are `stride` apart, so that a part of the columns can be summed.
const TX = 32u; // knob: columns of a workgroup
const TY = 8u; // knob: rows taken at a time, a power of two
struct Params { rows: u32, cols: u32, groups: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (rows, stride)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (groups, cols)
var<workgroup> scratch: array<f32, TX * TY>;

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let c = wg.x * TX + local.x;
  let chunk = (p.rows + p.groups - 1u) / p.groups;
  let end = min(p.rows, (wg.y + 1u) * chunk);
  var sum = 0.0;
  if (c < p.cols) {
    let step = TY * p.stride;
    var r = wg.y * chunk + local.y;
    var i = r * p.stride + p.offset + c;
    for (; r + 3u * TY < end; r += 4u * TY) {
      sum += (x[i] + x[i + step]) + (x[i + 2u * step] + x[i + 3u * step]);
      i += 4u * step;
    }
    for (; r < end; r += TY) {
      sum += x[i];
      i += step;
    }
  }
  if (TY > 1u) {
    scratch[t] = sum;
    for (var half = TY / 2u; half > 0u; half = half / 2u) {
      workgroupBarrier();
      if (local.y < half) { scratch[t] += scratch[t + half * TX]; }
    }
    sum = scratch[t];
  }
  if (c < p.cols && local.y == 0u) { y[wg.y * p.cols + c] = sum; }
}
