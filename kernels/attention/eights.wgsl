// Bindings that hold eight f16 an element, in 16 bytes: what NVIDIA loads fastest.
const EACH = 8u;
fn join(low: Vector, high: Vector) -> vec4<u32> { return low; }
fn element(low: vec4<f32>, high: vec4<f32>) -> Vector { return halves(low, high); }
