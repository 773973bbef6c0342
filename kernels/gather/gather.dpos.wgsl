// Gradient of learned position embeddings in gather.embed: dpos[0] sums the cls rows over the batch, dpos[1 + l] the rows
// of the images that kept patch l. One workgroup per position; images in order.
const WG = 64u; // knob: threads per position
struct Params { batch: u32, patches: u32, keep: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<f32>; // (batch, 1 + keep, dim)
@group(0) @binding(2) var<storage, read> ids_restore: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> dpos: array<f32>; // (1 + patches, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let place = wg.x + wg.y * groups.x;
  if (place > p.patches) { return; }
  for (var c = t; c < p.dim; c += WG) {
    var sum = 0.0;
    for (var b = 0u; b < p.batch; b++) {
      var row = 0u;
      if (place > 0u) { row = 1u + ids_restore[b * p.patches + place - 1u]; }
      if (row <= p.keep) { sum += dx[(b * (1u + p.keep) + row) * p.dim + c]; }
    }
    dpos[place * p.dim + c] = sum;
  }
}
