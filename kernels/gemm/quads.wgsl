// Eight neighbours of A or B as f16, from bindings that hold four of them, f32 or f16, an element: those at `low` and at `high`.
fn eightA(low: u32, high: u32) -> vec4<u32> {
  return vec4(bitcast<vec2<u32>>(vec4<f16>(a[low / 4u])), bitcast<vec2<u32>>(vec4<f16>(a[high / 4u])));
}

fn eightB(low: u32, high: u32) -> vec4<u32> {
  return vec4(bitcast<vec2<u32>>(vec4<f16>(b[low / 4u])), bitcast<vec2<u32>>(vec4<f16>(b[high / 4u])));
}
