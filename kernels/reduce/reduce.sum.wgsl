// Partial sums: y[g] = sum of x (or x^2) over the g-th contiguous chunk.
const SQUARE = false; // knob: squares are added
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 256u; // knob: threads, a power of two
struct Params { n: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (groups)

fn value(i: u32) -> vec4<f32> {
  let v = x[i];
  if (SQUARE) { return v * v; }
  return v;
}

fn total(v: vec4<f32>) -> f32 {
  return v.x + v.y + v.z + v.w;
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let vectors = p.n / VECTOR;
  let chunk = ((p.n + p.groups - 1u) / p.groups + 3u) / 4u * (4u / VECTOR); // whole vectors of 4
  let end = min(vectors, (wg.x + 1u) * chunk);
  var sum = vec4<f32>();
  var i = wg.x * chunk + t;
  for (; i + 3u * WG < end; i += 4u * WG) {
    sum += (value(i) + value(i + WG)) + (value(i + 2u * WG) + value(i + 3u * WG));
  }
  for (; i < end; i += WG) { sum += value(i); }
  let whole = rowSum(t, total(sum));
  if (t == 0u) { y[wg.x] = whole; }
}
