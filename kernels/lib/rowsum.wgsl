// Sum of one number, or one pair, per thread over a workgroup of WG threads; every thread gets it. WG is a power of two.
var<workgroup> rowSumScratch: array<f32, WG>;
var<workgroup> rowSum2Scratch: array<vec2<f32>, WG>;

fn rowSum(t: u32, value: f32) -> f32 {
  rowSumScratch[t] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (t < half) { rowSumScratch[t] += rowSumScratch[t + half]; }
    workgroupBarrier();
  }
  let sum = rowSumScratch[0];
  workgroupBarrier();
  return sum;
}

fn rowSum2(t: u32, value: vec2<f32>) -> vec2<f32> {
  rowSum2Scratch[t] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half = half / 2u) {
    if (t < half) { rowSum2Scratch[t] += rowSum2Scratch[t + half]; }
    workgroupBarrier();
  }
  let sum = rowSum2Scratch[0];
  workgroupBarrier();
  return sum;
}
