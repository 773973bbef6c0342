// Eight neighbours of A or B as f16, from bindings that hold four of them, f32 or f16, an element: elements `at` and the next, or the last one.
const UNIT = 4u; // numbers of A or B in an element
fn eightA(at: u32, last: u32) -> vec4<u32> {
  return vec4(bitcast<vec2<u32>>(vec4<f16>(a[min(at, last)])), bitcast<vec2<u32>>(vec4<f16>(a[min(at + 1u, last)])));
}

fn eightB(at: u32, last: u32) -> vec4<u32> {
  return vec4(bitcast<vec2<u32>>(vec4<f16>(b[min(at, last)])), bitcast<vec2<u32>>(vec4<f16>(b[min(at + 1u, last)])));
}
