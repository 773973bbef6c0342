// A row for every thread, which takes all its elements: the same interface as lib/bygroup.wgsl with lib/rowsum.wgsl.
const STRIDE = 1u;

fn rowIndex(group: u32, t: u32) -> u32 {
  return group * WG + t;
}

fn rowFirst(t: u32) -> u32 {
  return 0u;
}

fn rowSum(t: u32, value: f32) -> f32 {
  return value;
}
