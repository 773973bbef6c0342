// p = exp(scale q k^T - lse): the softmax that attention.forward never writes down, for rows of q from `first` on; one thread an element.
// For looking inside of a model: training has no use for it.
const WG = 64u; // knob: threads a workgroup
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32, first: u32, rows: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(3) var<storage, read_write> probabilities: array<f32>; // (batch, heads, rows, tokens)

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let at = (wg.x + wg.y * groups.x) * WG + t;
  if (at >= p.batch * p.heads * p.rows * p.tokens) { return; }
  let key = at % p.tokens;
  let query = p.first + at / p.tokens % p.rows;
  let head = at / p.tokens / p.rows % p.heads;
  let image = at / p.tokens / p.rows / p.heads;
  let width = p.dim / 4u;
  let q = (((image * p.tokens + query) * 3u) * p.heads + head) * width;
  let k = (((image * p.tokens + key) * 3u + 1u) * p.heads + head) * width;
  var products = vec4<f32>();
  for (var i = 0u; i < width; i++) { products += wide(qkv[q + i]) * wide(qkv[k + i]); }
  let score = p.scale * dot(products, vec4<f32>(1.0));
  probabilities[at] = exp(score - lse[(image * p.heads + head) * p.tokens + query]);
}
