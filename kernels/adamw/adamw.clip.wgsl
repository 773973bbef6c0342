// Global gradient norm from partial sums of squares, and the multiplier that caps it, min(1, maxNorm / (norm + 1e-6)). With
// SCALED the gradients carry a loss scale: the norm is that without it, and the multiplier takes it off, too.
const SCALED = false; // knob: hyper[6] is 1 / loss scale before
const WG = 64u; // knob: threads, a power of two
struct Params { groups: u32, maxNorm: f32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>; // (groups)
@group(0) @binding(2) var<storage, read_write> hyper: array<f32>; // (8), see adamw.update
@group(0) @binding(3) var<storage, read_write> norm: array<f32>; // (1)

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(local_invocation_index) t: u32) {
  var sum = 0.0;
  for (var i = t; i < u.groups; i += WG) { sum += squares[i]; }
  let root = sqrt(rowSum(t, sum));
  if (t == 0u) {
    var unscale = 1.0;
    if (SCALED) { unscale = hyper[6]; }
    let length = root * unscale;
    norm[0] = length;
    hyper[6] = unscale * min(1.0, u.maxNorm / (length + 1e-6));
  }
}
