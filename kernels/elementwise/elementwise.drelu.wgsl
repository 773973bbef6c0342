// dx = 0 where x <= 0, else dy, where x is NaN, too.
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 128u; // knob: threads
const PER = 1u; // knob: vectors a thread takes, WG apart
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (n)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // (n)
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>; // (n)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let first = (wg.x + wg.y * grid.x) * (WG * PER) + t;
  for (var k = 0u; k < PER; k++) { // unroll
    let i = first + k * WG;
    if (VECTOR * i < p.n) { dx[i] = select(dy[i], vec4<f32>(), x[i] <= vec4<f32>()); }
  }
}
