// Second step: ratio = trust ||p|| / ||g + wd p|| of every tensor from its parts' sums; 1 where a norm is 0, and for tensors that are
// exempt (one dimension). A thread takes a tensor.
const WG = 64u; // knob: threads
struct Params { parts: u32, tensors: u32, trust: f32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read> squares: array<vec2<f32>>; // (parts, 2)
@group(0) @binding(2) var<storage, read> spans: array<vec4<u32>>; // (tensors, 4): first part, the one after the last, 1 if exempt, -
@group(0) @binding(3) var<storage, read_write> ratio: array<f32>; // (tensors)

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x >= u.tensors) { return; }
  let span = spans[at.x];
  var sum = vec2<f32>();
  for (var i = span.x; i < span.y; i++) { sum += squares[i]; }
  var own = 1.0;
  if (span.z == 0u && sum.x > 0.0 && sum.y > 0.0) { own = u.trust * sqrt(sum.x) / sqrt(sum.y); }
  ratio[at.x] = own;
}
