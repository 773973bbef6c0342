// Rows of probabilities to train against, from class numbers: own = off everywhere, on at the class (Szegedy et al. 2016), and with MIX
// y = lambda own(label) + (1 - lambda) own(partner) (Zhang et al. 2018). A label below 0 (no class) gives a row of zeros: no loss.
const MIX = false; // knob: partner and lambda are there
const WG = 64u; // knob: threads
struct Params { rows: u32, classes: u32, smoothing: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> labels: array<i32>; // (rows)
@group(0) @binding(2) var<storage, read> partner: array<i32>; // (rows) with MIX
@group(0) @binding(3) var<storage, read> lambda: array<f32>; // (1) with MIX
@group(0) @binding(4) var<storage, read_write> targets: array<f32>; // (rows, classes)

fn own(label: i32, k: u32) -> f32 {
  let off = p.smoothing / f32(p.classes);
  return select(off, 1.0 - p.smoothing + off, u32(label) == k);
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  let row = i / p.classes;
  if (row >= p.rows) { return; }
  let label = labels[row];
  var y = own(label, i % p.classes);
  if (MIX) {
    let part = lambda[0];
    y = part * y + (1.0 - part) * own(partner[row], i % p.classes);
  }
  targets[i] = select(y, 0.0, label < 0);
}
