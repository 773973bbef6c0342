// Partial sums: y[g] = sum of x (or x^2) over the g-th contiguous chunk.
const SQUARE = false; // knob: squares are added
const WG = 256u; // knob: threads, a power of two
struct Params { n: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (groups)

fn value(i: u32, end: u32) -> f32 {
  if (i >= end) { return 0.0; }
  let v = x[i];
  if (SQUARE) { return v * v; }
  return v;
}

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let chunk = (p.n + p.groups - 1u) / p.groups;
  let end = min(p.n, (wg.x + 1u) * chunk);
  var sums = vec4<f32>();
  for (var i = wg.x * chunk + t; i < end; i += 4u * WG) {
    sums += vec4(value(i, end), value(i + WG, end), value(i + 2u * WG, end), value(i + 3u * WG, end));
  }
  let sum = rowSum(t, (sums.x + sums.y) + (sums.z + sums.w));
  if (t == 0u) { y[wg.x] = sum; }
}
