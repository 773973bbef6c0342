// Partial sums for the mask token's gradient: the removed patches (the tail of ids_shuffle) of all images form one list;
// group g sums its run of it, in order, TY strands of rows side by side. A column sum finishes them.
const VECTOR = 4u; // knob: columns of a vector, 1 for single ones (lib/elements.ts)
const TX = 16u; // knob: vectors per workgroup
const TY = 16u; // knob: rows taken at a time, a power of two
struct Params { batch: u32, patches: u32, keep: u32, dim: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dx: array<vec4<f32>>; // (batch, 1 + patches, dim)
@group(0) @binding(2) var<storage, read> ids_shuffle: array<u32>; // (batch, patches)
@group(0) @binding(3) var<storage, read_write> dmask_token: array<vec4<f32>>; // (groups, dim)
var<workgroup> scratch: array<vec4<f32>, TX * TY>;

fn at(r: u32, c: u32) -> vec4<f32> {
  let removed = p.patches - p.keep;
  let image = r / removed;
  let row = 1u + ids_shuffle[image * p.patches + p.keep + r % removed];
  return dx[(image * (1u + p.patches) + row) * (p.dim / VECTOR) + c];
}

@compute @workgroup_size(TX, TY, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let width = p.dim / VECTOR;
  let blocks = (width + TX - 1u) / TX;
  let index = wg.x + wg.y * groups.x;
  let group = index / blocks;
  let c = (index % blocks) * TX + local.x;
  let total = p.batch * (p.patches - p.keep);
  let run = (total + p.groups - 1u) / p.groups;
  let end = min(total, (group + 1u) * run);
  var sum = vec4<f32>();
  let inside = group < p.groups && c < width;
  if (inside) {
    var r = group * run + local.y;
    for (; r + 3u * TY < end; r += 4u * TY) {
      sum += (at(r, c) + at(r + TY, c)) + (at(r + 2u * TY, c) + at(r + 3u * TY, c));
    }
    for (; r < end; r += TY) { sum += at(r, c); }
  }
  if (TY > 1u) {
    scratch[t] = sum;
    for (var half = TY / 2u; half > 0u; half = half / 2u) {
      workgroupBarrier();
      if (local.y < half) { scratch[t] += scratch[t + half * TX]; }
    }
    sum = scratch[t];
  }
  if (inside && local.y == 0u) { dmask_token[group * width + c] = sum; }
}
