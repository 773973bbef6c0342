// First of two steps to the norms of many tensors in one slab (You et al. 2017): every part, some thousand neighbouring elements of one
// tensor, gives its sums of p^2 and of (multiplier g + wd p)^2. One workgroup a part.
const WG = 128u; // knob: threads, a power of two
struct Params { n: u32, parts: u32, groupCount: u32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read> p: array<f32>; // (n)
@group(0) @binding(2) var<storage, read> g: array<f32>; // (n)
@group(0) @binding(3) var<storage, read> ends: array<vec2<u32>>; // (parts, 2): first element and the one after the last
@group(0) @binding(4) var<storage, read> group: array<u32>; // (n / 64): which group 64 elements belong to
@group(0) @binding(5) var<storage, read> groups: array<vec2<f32>>; // (groupCount, 2): weight decay, lr scale
@group(0) @binding(6) var<storage, read> hyper: array<f32>; // (8), see sgd.update
@group(0) @binding(7) var<storage, read_write> squares: array<vec2<f32>>; // (parts, 2)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let part = wg.x + wg.y * grid.x;
  if (part >= u.parts) { return; }
  let span = ends[part];
  let decay = groups[group[span.x / 64u]].x;
  var sum = vec2<f32>();
  for (var i = span.x + t; i < span.y; i += WG) {
    let both = vec2<f32>(p[i], hyper[6] * g[i] + decay * p[i]);
    sum += both * both;
  }
  sum = rowSum2(t, sum);
  if (t == 0u) { squares[part] = sum; }
}
