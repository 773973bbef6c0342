// One step further: step += 1 and the bias corrections 1 - beta^step into hyper, as -expm1(step * ln(beta)). A step that
// hyper[7] says to skip is none: nothing changes.
struct Params { lnBeta1: f32, lnBeta2: f32 }
@group(0) @binding(0) var<uniform> u: Params;
@group(0) @binding(1) var<storage, read_write> step: array<u32>; // (1)
@group(0) @binding(2) var<storage, read_write> hyper: array<f32>; // (8), see adamw.update

/** 1 - exp(x) for x <= 0. Near 0 by its series: exp(x) - 1 would lose what is asked for (1 - 0.999 has 3 digits of it). */
fn complement(x: f32) -> f32 {
  if (x < -1.0) { return 1.0 - exp(x); }
  var sum = 1.0;
  for (var n = 12.0; n > 1.0; n -= 1.0) { sum = 1.0 + sum * x / n; }
  return -x * sum;
}

@compute @workgroup_size(1, 1, 1)
fn main() {
  if (hyper[7] != 0.0) { return; }
  let next = step[0] + 1u;
  step[0] = next;
  hyper[4] = complement(f32(next) * u.lnBeta1);
  hyper[5] = complement(f32(next) * u.lnBeta2);
}
