// rowSum and rowSum2 (lib/rowsum.wgsl) by subgroups of any size: each adds up its own, then every subgroup adds up what all
// found. Two barriers instead of log2(WG) + 2. The size is counted, not assumed; that thread t is lane t % lanes of subgroup
// t / lanes holds where engine/probe.ts found it so. No subgroup is smaller than 4: hence WG / 4 places.
var<workgroup> rowSumScratch: array<f32, WG / 4u>;
var<workgroup> rowSum2Scratch: array<vec2<f32>, WG / 4u>;

fn rowSum(t: u32, value: f32) -> f32 {
  let lanes = subgroupAdd(1u);
  let own = subgroupAdd(value);
  if (t % lanes == 0u) { rowSumScratch[t / lanes] = own; }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = t % lanes; i * lanes < WG; i += lanes) { sum += rowSumScratch[i]; }
  workgroupBarrier();
  return subgroupAdd(sum);
}

fn rowSum2(t: u32, value: vec2<f32>) -> vec2<f32> {
  let lanes = subgroupAdd(1u);
  let own = subgroupAdd(value);
  if (t % lanes == 0u) { rowSum2Scratch[t / lanes] = own; }
  workgroupBarrier();
  var sum = vec2<f32>();
  for (var i = t % lanes; i * lanes < WG; i += lanes) { sum += rowSum2Scratch[i]; }
  workgroupBarrier();
  return subgroupAdd(sum);
}
