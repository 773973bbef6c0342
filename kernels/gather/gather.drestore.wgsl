// dy[b, 0] = dx[b, 0];  dy[b, 1 + j] = dx[b, 1 + ids_shuffle[b, j]]: a gather by the inverse order. One workgroup per token.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per token
struct Params { batch: u32, patches: u32, keep: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<vec4<f32>>; // (batch, 1 + patches, dim)
@group(0) @binding(2) var<storage, read> ids_shuffle: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> dy: array<vec4<f32>>; // (batch, 1 + keep, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let token = wg.x + wg.y * groups.x;
  let image = token / (1u + p.keep);
  if (image >= p.batch) { return; }
  let place = token % (1u + p.keep);
  var row = 0u;
  if (place > 0u) { row = 1u + ids_shuffle[image * p.patches + place - 1u]; }
  let start = (image * (1u + p.patches) + row) * width;
  for (var c = t; c < width; c += WG) { dy[token * width + c] = dx[start + c]; }
}
