// Dynamic loss scale (Micikevicius et al. 2018, section 3.2), one workgroup. hyper[6] = 1 / scale, which these gradients carry;
// then, where a flag is set: hyper[7] = 1 (skip), scale = max(1, scale / 2), good = 0, skipped += 1; else hyper[7] = 0,
// good += 1, and after `interval` of those in a row scale = min(2^24, 2 scale), good = 0.
const WG = 64u; // knob: threads, a power of two
struct Params { groups: u32, interval: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> flags: array<u32>; // (groups)
@group(0) @binding(2) var<storage, read_write> scale: array<f32>; // (1)
@group(0) @binding(3) var<storage, read_write> good: array<u32>; // (1): steps without overflow since scale last changed
@group(0) @binding(4) var<storage, read_write> skipped: array<u32>; // (1): steps skipped so far
@group(0) @binding(5) var<storage, read_write> hyper: array<f32>; // (8), see adamw.update

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(local_invocation_index) t: u32) {
  var own = 0u;
  for (var i = t; i < p.groups; i += WG) { own |= flags[i]; }
  let overflow = rowSum(t, select(0.0, 1.0, own != 0u)) > 0.0;
  if (t != 0u) { return; }
  let carried = scale[0];
  hyper[6] = 1.0 / carried;
  hyper[7] = select(0.0, 1.0, overflow);
  if (overflow) {
    scale[0] = max(1.0, 0.5 * carried);
    good[0] = 0u;
    skipped[0] += 1u;
  } else if (good[0] + 1u >= p.interval) {
    scale[0] = min(16777216.0, 2.0 * carried);
    good[0] = 0u;
  } else {
    good[0] += 1u;
  }
}
