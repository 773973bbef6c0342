// delta = sum over the head dimension of do * o: what the softmax's gradient subtracts. A workgroup takes ROWS rows that lie
// behind one another, its threads neighbouring vectors of them; then a thread adds up a row.
const ROWS = 32u; // knob: rows a workgroup
const WG = 128u; // knob: threads a workgroup, at least ROWS
const WIDTH = 16u; // knob: dim / 4
const PER = 4u; // knob: vectors a thread takes, ceil(ROWS * WIDTH / WG)
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> o: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> delta: array<f32>; // (batch, heads, tokens)
var<workgroup> products: array<f32, ROWS * (WIDTH + 1u)>; // a place more a row, so that rows begin in other banks

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let first = (wg.x + wg.y * groups.x) * ROWS;
  let rows = p.batch * p.tokens * p.heads;
  let last = max(rows * WIDTH, 1u) - 1u;
  for (var k = 0u; k < PER; k++) { // unroll
    let i = t + k * WG;
    let at = min(first * WIDTH + i, last);
    let product = dot(wide(o[at]), wide(dO[at]));
    if (i < ROWS * WIDTH) { products[i + i / WIDTH] = product; }
  }
  workgroupBarrier();
  let row = first + t;
  if (t >= ROWS || row >= rows) { return; }
  var sum = 0.0;
  for (var i = 0u; i < WIDTH; i++) { sum += products[t * (WIDTH + 1u) + i]; }
  let head = row % p.heads;
  let token = row / p.heads % p.tokens;
  let image = row / p.heads / p.tokens;
  delta[(image * p.heads + head) * p.tokens + token] = sum;
}
