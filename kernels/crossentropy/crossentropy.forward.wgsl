// Cross-entropy against probabilities: losses_n = sum_k t_nk (lse_n - z_nk), lse_n = m + log sum_k exp(z_nk - m), m = max_k z_nk.
// A workgroup takes a row, its threads classes WG apart; mass_n = sum_k t_nk goes to the backward pass.
const WG = 64u; // knob: threads, a power of two
struct Params { rows: u32, classes: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // (rows, classes)
@group(0) @binding(2) var<storage, read> targets: array<f32>; // (rows, classes)
@group(0) @binding(3) var<storage, read_write> losses: array<f32>; // (rows)
@group(0) @binding(4) var<storage, read_write> lse: array<f32>; // (rows)
@group(0) @binding(5) var<storage, read_write> mass: array<f32>; // (rows)
var<workgroup> most: array<f32, WG>;

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let row = wg.x + wg.y * grid.x;
  if (row >= p.rows) { return; }
  let start = row * p.classes;
  var high = -3e38;
  for (var k = t; k < p.classes; k += WG) { high = max(high, logits[start + k]); }
  most[t] = high;
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    workgroupBarrier();
    if (t < half) { most[t] = max(most[t], most[t + half]); }
  }
  workgroupBarrier();
  let m = most[0];
  // Against z - m, which is small where the target is: nothing large cancels.
  var sum = 0.0;
  var both = vec2<f32>();
  for (var k = t; k < p.classes; k += WG) {
    let z = logits[start + k] - m;
    sum += exp(z);
    both += vec2<f32>(targets[start + k] * z, targets[start + k]);
  }
  let all = log(rowSum(t, sum));
  both = rowSum2(t, both);
  if (t == 0u) {
    lse[row] = m + all;
    mass[row] = both.y;
    losses[row] = both.y * all - both.x;
  }
}
