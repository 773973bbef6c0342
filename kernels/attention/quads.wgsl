// Bindings that hold four numbers an element, f32 or f16.
const EACH = 4u;
fn join(low: Vector, high: Vector) -> vec4<u32> { return vec4(bitcast<vec2<u32>>(vec4<f16>(low)), bitcast<vec2<u32>>(vec4<f16>(high))); }
fn element(low: vec4<f32>, high: vec4<f32>) -> Vector { return Vector(low); }
