// Sums over rows: y[g, c] = sum of x[r, offset + c] over the g-th chunk of rows. Threads lie along vectors of columns, TY rows
// at a time. Rows of x are `stride` apart, so that a part of the columns can be summed. With SUMS above 1 the `cols` columns after
// those are summed too, to z, and with 3 those after them, to v. With TWICE the same is done with x2, by as many workgroups more.
const TWICE = false; // knob: two tensors of one shape
const SUMS = 1u; // knob: so many times as many columns, the second part of them to z, the third to v
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const TX = 16u; // knob: vectors of a workgroup
const TY = 16u; // knob: rows taken at a time, a power of two
alias Stored = vec4<f32>; // stored: HALF
struct Params { rows: u32, cols: u32, groups: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>; // (rows, stride)
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // (groups, cols)
@group(0) @binding(3) var<storage, read_write> z: array<vec4<f32>>; // (groups, cols) with SUMS > 1
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>; // (groups, cols) with SUMS > 2
@group(0) @binding(5) var<storage, read> x2: array<Stored>; // (rows, stride) with TWICE
@group(0) @binding(6) var<storage, read_write> y2: array<vec4<f32>>; // (groups, cols) with TWICE
@group(0) @binding(7) var<storage, read_write> z2: array<vec4<f32>>; // (groups, cols) with TWICE and SUMS > 1
@group(0) @binding(8) var<storage, read_write> v2: array<vec4<f32>>; // (groups, cols) with TWICE and SUMS > 2
var<workgroup> scratch: array<vec4<f32>, TX * TY>;

fn wide(q: Stored) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

fn at(i: u32, second: bool) -> vec4<f32> {
  if (TWICE && second) { return wide(x2[i]); }
  return wide(x[i]);
}

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let vectors = p.cols / VECTOR;
  let across = vectors * SUMS;
  let blocks = (across + TX - 1u) / TX;
  let second = TWICE && wg.x >= blocks;
  let c = (wg.x - select(0u, blocks, second)) * TX + local.x;
  let chunk = (p.rows + p.groups - 1u) / p.groups;
  let end = min(p.rows, (wg.y + 1u) * chunk);
  var sum = vec4<f32>();
  let inside = c < across;
  if (inside) {
    let step = TY * (p.stride / VECTOR);
    var r = wg.y * chunk + local.y;
    var i = (r * p.stride + p.offset) / VECTOR + c;
    for (; r + 3u * TY < end; r += 4u * TY) {
      sum += (at(i, second) + at(i + step, second)) + (at(i + 2u * step, second) + at(i + 3u * step, second));
      i += 4u * step;
    }
    for (; r < end; r += TY) {
      sum += at(i, second);
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
  if (!inside || local.y > 0u) { return; }
  let which = c / vectors;
  let out = wg.y * vectors + c % vectors;
  if (TWICE && second) {
    if (SUMS > 2u && which == 2u) { v2[out] = sum; } else if (SUMS > 1u && which == 1u) { z2[out] = sum; } else { y2[out] = sum; }
  } else {
    if (SUMS > 2u && which == 2u) { v[out] = sum; } else if (SUMS > 1u && which == 1u) { z[out] = sum; } else { y[out] = sum; }
  }
}
