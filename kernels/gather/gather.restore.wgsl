// x[b, 0] = y[b, 0] + pos[0];  x[b, 1 + l] = (the encoder's token where patch l was kept, else mask_token) + pos[1 + l].
// One workgroup per token.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per token
struct Params { batch: u32, patches: u32, keep: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>; // (batch, 1 + keep, dim)
@group(0) @binding(2) var<storage, read> mask_token: array<vec4<f32>>; // (dim)
@group(0) @binding(3) var<storage, read> pos: array<vec4<f32>>; // (1 + patches, dim)
@group(0) @binding(4) var<storage, read> ids_restore: array<u32>; // (batch, patches)
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>; // (batch, 1 + patches, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let token = wg.x + wg.y * groups.x;
  let image = token / (1u + p.patches);
  if (image >= p.batch) { return; }
  let place = token % (1u + p.patches);
  var row = 0u;
  if (place > 0u) { row = 1u + ids_restore[image * p.patches + place - 1u]; }
  if (row > p.keep) {
    for (var c = t; c < width; c += WG) { x[token * width + c] = mask_token[c] + pos[place * width + c]; }
    return;
  }
  let start = (image * (1u + p.keep) + row) * width;
  for (var c = t; c < width; c += WG) { x[token * width + c] = y[start + c] + pos[place * width + c]; }
}
