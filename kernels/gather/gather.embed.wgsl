// x[b, 0] = cls + pos[0];  x[b, 1 + j] = emb[b, j] + pos[1 + ids_keep[b, j]]. One workgroup per token.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads per token
struct Params { batch: u32, patches: u32, keep: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> emb: array<vec4<f32>>; // (batch, keep, dim)
@group(0) @binding(2) var<storage, read> pos: array<vec4<f32>>; // (1 + patches, dim)
@group(0) @binding(3) var<storage, read> cls: array<vec4<f32>>; // (dim)
@group(0) @binding(4) var<storage, read> ids_keep: array<u32>; // (batch, keep)
@group(0) @binding(5) var<storage, read_write> x: array<vec4<f32>>; // (batch, 1 + keep, dim)

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
  if (place == 0u) {
    for (var c = t; c < width; c += WG) { x[token * width + c] = cls[c] + pos[c]; }
    return;
  }
  let kept = image * p.keep + place - 1u;
  let at = (1u + ids_keep[kept]) * width;
  for (var c = t; c < width; c += WG) { x[token * width + c] = emb[kept * width + c] + pos[at + c]; }
}
