// SGD with momentum over a flat slab of many tensors (as torch.optim.SGD, dampening 0), with a factor a tensor for LARS:
//   g = (multiplier g + wd p) ratio;  mu = momentum mu + g;  p -= lr scale mu, with NESTEROV p -= lr scale (g + momentum mu).
// A thread takes PER vectors, WG apart. Where hyper says to skip the step (its gradients overflowed) nothing changes.
const NESTEROV = false; // knob: looks ahead by one momentum step
const RATIO = false; // knob: gradients are multiplied by their tensor's ratio
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 256u; // knob: threads
const PER = 1u; // knob: vectors a thread takes, WG apart
struct Params { n: u32, groupCount: u32, tensors: u32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read_write> p: array<vec4<f32>>; // (n)
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>; // (n)
@group(0) @binding(3) var<storage, read_write> mu: array<vec4<f32>>; // (n)
@group(0) @binding(4) var<storage, read> group: array<u32>; // (n / 64): which group 64 elements belong to
@group(0) @binding(5) var<storage, read> groups: array<vec2<f32>>; // (groupCount, 2): weight decay, lr scale
@group(0) @binding(6) var<storage, read> owner: array<u32>; // (n / 64) with RATIO: which tensor 64 elements belong to
@group(0) @binding(7) var<storage, read> ratio: array<f32>; // (tensors) with RATIO
@group(0) @binding(8) var<storage, read> hyper: array<f32>; // (8): lr, momentum, -, -, -, -, gradient multiplier, skip

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (hyper[7] != 0.0) { return; }
  let first = (wg.x + wg.y * grid.x) * (WG * PER);
  for (var k = 0u; k < PER; k++) { // unroll
    let i = first + k * WG + t;
    if (VECTOR * i < u.n) {
      let block = VECTOR * i / 64u;
      let decayAndScale = groups[group[block]];
      var gi = g[i] * hyper[6] + decayAndScale.x * p[i];
      if (RATIO) { gi *= ratio[owner[block]]; }
      let mi = hyper[1] * mu[i] + gi;
      mu[i] = mi;
      var step = mi;
      if (NESTEROV) { step = gi + hyper[1] * mi; }
      p[i] -= hyper[0] * decayAndScale.y * step;
    }
  }
}
