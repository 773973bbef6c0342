// Eight neighbours of A or B as f16, from bindings that hold eight an element: element `at`, or the last one.
const UNIT = 8u; // numbers of A or B in an element
fn eightA(at: u32, last: u32) -> vec4<u32> {
  return bitcast<vec4<u32>>(a[min(at, last)]);
}

fn eightB(at: u32, last: u32) -> vec4<u32> {
  return bitcast<vec4<u32>>(b[min(at, last)]);
}
