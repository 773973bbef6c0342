// saliency_nj = mean over heads of softmax(scale q_0 k^T)_j: how much the cls token attends to patch j, from what forward left.
// One thread a patch. Training has no use for it but to choose masks.
const WG = 64u; // knob: threads a workgroup
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(3) var<storage, read_write> saliency: array<f32>; // (batch, tokens - 1)

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let at = (wg.x + wg.y * groups.x) * WG + t;
  let patches = p.tokens - 1u;
  if (at >= p.batch * patches) { return; }
  let image = at / patches;
  let token = 1u + at % patches;
  let width = p.dim / 4u;
  var sum = 0.0;
  for (var head = 0u; head < p.heads; head++) {
    let q = (image * p.tokens * 3u * p.heads + head) * width;
    let k = (((image * p.tokens + token) * 3u + 1u) * p.heads + head) * width;
    var products = vec4<f32>();
    for (var i = 0u; i < width; i++) { products += wide(qkv[q + i]) * wide(qkv[k + i]); }
    sum += exp(p.scale * dot(products, vec4<f32>(1.0)) - lse[(image * p.heads + head) * p.tokens]);
  }
  saliency[at] = sum / f32(p.heads);
}
