// A row for a workgroup: its WG threads take elements t, t + WG, … of it and add up with rowSum (lib/rowsum.wgsl).
const STRIDE = WG;

fn rowIndex(group: u32, t: u32) -> u32 {
  return group;
}

fn rowFirst(t: u32) -> u32 {
  return t;
}
