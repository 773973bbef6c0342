// rowSum and rowSum2 (lib/rowsum.wgsl) for a workgroup that is one subgroup: no barrier, no workgroup memory.
fn rowSum(t: u32, value: f32) -> f32 {
  return subgroupAdd(value);
}

fn rowSum2(t: u32, value: vec2<f32>) -> vec2<f32> {
  return subgroupAdd(value);
}
