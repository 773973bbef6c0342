// Eight neighbours of A or B as f16, from bindings that hold eight an element: those from `low` on.
fn eightA(low: u32, high: u32) -> vec4<u32> {
  return bitcast<vec4<u32>>(a[low / 8u]);
}

fn eightB(low: u32, high: u32) -> vec4<u32> {
  return bitcast<vec4<u32>>(b[low / 8u]);
}
