// loss = sum(rowloss) / sum(mask) over all patches, in a fixed order; 0 where nothing is masked. One workgroup.
const WG = 256u; // knob: threads, a power of two
struct Params { count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rowloss: array<f32>; // (count)
@group(0) @binding(2) var<storage, read> mask: array<f32>; // (count)
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // (1)
@group(0) @binding(4) var<storage, read_write> total: array<f32>; // (2): loss, sum of mask

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(local_invocation_index) t: u32) {
  var sums = vec2<f32>();
  for (var i = t; i < p.count; i += WG) { sums += vec2(rowloss[i], mask[i]); }
  sums = rowSum2(t, sums);
  if (t == 0u) {
    let value = select(0.0, sums.x / max(sums.y, 1e-30), sums.y > 0.0);
    loss[0] = value;
    total[0] = value;
    total[1] = sums.y;
  }
}
