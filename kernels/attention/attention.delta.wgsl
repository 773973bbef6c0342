// delta = sum over the head dimension of do * o, one thread a row: what the softmax's gradient subtracts.
const WG = 64u; // knob: threads a workgroup
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> o: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> delta: array<f32>; // (batch, heads, tokens)

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = (wg.x + wg.y * groups.x) * WG + t;
  if (row >= p.batch * p.tokens * p.heads) { return; }
  let width = p.dim / 4u;
  var products = vec4<f32>();
  for (var i = row * width; i < row * width + width; i++) { products += wide(o[i]) * wide(dO[i]); }
  let head = row % p.heads;
  let token = row / p.heads % p.tokens;
  let image = row / p.heads / p.tokens;
  delta[(image * p.heads + head) * p.tokens + token] = dot(products, vec4<f32>(1.0));
}
