// Sums over rows: y[g, c] = sum of x[r, offset + c] over the g-th chunk of rows. Threads lie along vectors of columns, TY rows
// at a time. Rows of x are `stride` apart, so that a part of the columns can be summed. With PAIR the `cols` columns after those
// are summed too, to z.
const PAIR = false; // knob: twice as many columns, the second half of them to z
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const TX = 16u; // knob: vectors of a workgroup
const TY = 16u; // knob: rows taken at a time, a power of two
alias Stored = vec4<f32>; // stored: HALF
struct Params { rows: u32, cols: u32, groups: u32, stride: u32, offset: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>; // (rows, stride)
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>; // (groups, cols)
@group(0) @binding(3) var<storage, read_write> z: array<vec4<f32>>; // (groups, cols) with PAIR
var<workgroup> scratch: array<vec4<f32>, TX * TY>;

fn wide(q: Stored) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

fn at(i: u32) -> vec4<f32> {
  return wide(x[i]);
}

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let c = wg.x * TX + local.x;
  let vectors = p.cols / VECTOR;
  let chunk = (p.rows + p.groups - 1u) / p.groups;
  let end = min(p.rows, (wg.y + 1u) * chunk);
  var sum = vec4<f32>();
  let inside = c < vectors * select(1u, 2u, PAIR);
  if (inside) {
    let step = TY * (p.stride / VECTOR);
    var r = wg.y * chunk + local.y;
    var i = (r * p.stride + p.offset) / VECTOR + c;
    for (; r + 3u * TY < end; r += 4u * TY) {
      sum += (at(i) + at(i + step)) + (at(i + 2u * step) + at(i + 3u * step));
      i += 4u * step;
    }
    for (; r < end; r += TY) {
      sum += at(i);
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
  if (PAIR && c >= vectors) {
    z[wg.y * vectors + c - vectors] = sum;
  } else {
    y[wg.y * vectors + c] = sum;
  }
}
