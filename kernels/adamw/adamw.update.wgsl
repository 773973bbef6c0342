// AdamW over a flat slab of many tensors (Loshchilov & Hutter 2019; decoupled decay as in PyTorch):
//   p *= 1 - lr wd;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps).
// hyper keeps 1 - b and not b: 1 - 0.999 taken in f32 would be off by 1e-5 of itself, while 1 - 0.001 is exact to rounding.
// A thread takes PER vectors, WG apart. Where hyper says to skip the step (its gradients overflowed) nothing changes.
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 256u; // knob: threads
const PER = 1u; // knob: vectors a thread takes, WG apart
struct Params { n: u32, groupCount: u32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read_write> p: array<vec4<f32>>; // (n)
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>; // (n)
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>; // (n)
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>; // (n)
@group(0) @binding(5) var<storage, read> group: array<u32>; // (n / 64): which group 64 elements belong to
@group(0) @binding(6) var<storage, read> groups: array<vec2<f32>>; // (groupCount, 2): weight decay, lr scale
@group(0) @binding(7) var<storage, read> hyper: array<f32>; // (8): lr, 1 - b1, 1 - b2, eps, bc1, bc2, gradient multiplier, skip

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (hyper[7] != 0.0) { return; }
  let first = (wg.x + wg.y * grid.x) * (WG * PER);
  let step = hyper[0] / hyper[4];
  let correction = inverseSqrt(hyper[5]);
  for (var k = 0u; k < PER; k++) { // unroll
    let i = first + k * WG + t;
    if (VECTOR * i < u.n) {
      var block = VECTOR * (first + k * WG) / 64u;
      if (VECTOR * WG > 64u) { block += VECTOR * t / 64u; } // else the same address for all threads, which is quicker
      let decayAndScale = groups[group[block]];
      let gi = g[i] * hyper[6];
      let mi = m[i] + hyper[1] * (gi - m[i]);
      let vi = v[i] + hyper[2] * (gi * gi - v[i]);
      m[i] = mi;
      v[i] = vi;
      let decay = 1.0 - hyper[0] * decayAndScale.y * decayAndScale.x;
      p[i] = p[i] * decay - step * decayAndScale.y * mi / (sqrt(vi) * correction + hyper[3]);
    }
  }
}
