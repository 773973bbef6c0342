// Stochastic depth (Huang et al. 2016): y = r + x / (1 - rate) for samples that keep this branch, y = r for the others; without SUM
// there is no r: the gradient of x. One Philox draw a sample: key (seed, stream), counter (0, sample id, epoch). A thread takes an element.
const SUM = true; // knob: r is added
const WG = 64u; // knob: threads
struct Params { samples: u32, n: u32, rate: f32, seed: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (samples, n)
@group(0) @binding(2) var<storage, read> r: array<f32>; // (samples, n) with SUM
@group(0) @binding(3) var<storage, read> ids: array<u32>; // (samples)
@group(0) @binding(4) var<storage, read> clock: array<u32>; // (2): epoch, step
@group(0) @binding(5) var<storage, read_write> y: array<f32>; // (samples, n)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  let sample = i / p.n;
  if (sample >= p.samples) { return; }
  let words = philox4x32(vec4(0u, ids[sample], clock[0], 0u), vec2(p.seed, p.stream));
  let kept = f32(words[0] >> 8u) * 0x1p-24f >= p.rate;
  var value = select(0.0, x[i] / (1.0 - p.rate), kept);
  if (SUM) { value += r[i]; }
  y[i] = value;
}
