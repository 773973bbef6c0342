// Partial sums: y[g] = sum of x (or x^2) over the g-th contiguous chunk.
const SQUARE = false; // knob: squares are added
const WG = 256u; // knob: threads, a power of two
struct Params { n: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (groups)

fn value(i: u32) -> f32 {
  let v = x[i];
  if (SQUARE) { return v * v; }
  return v;
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let chunk = (p.n + p.groups - 1u) / p.groups;
  let end = min(p.n, (wg.x + 1u) * chunk);
  var sum = 0.0;
  var i = wg.x * chunk + t;
  for (; i + 3u * WG < end; i += 4u * WG) {
    sum += (value(i) + value(i + WG)) + (value(i + 2u * WG) + value(i + 3u * WG));
  }
  for (; i < end; i += WG) { sum += value(i); }
  sum = rowSum(t, sum);
  if (t == 0u) { y[wg.x] = sum; }
}
