// y = x in another storage. A thread takes PER vectors of 4, WG apart.
const WG = 64u; // knob: threads
const PER = 4u; // knob: vectors a thread takes, WG apart
alias X4 = vec4<f32>; // stored: X16
alias Y4 = vec4<f32>; // stored: Y16
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<X4>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<Y4>; // (n)

fn wide(q: X4) -> vec4<f32> { return vec4<f32>(q); } // stored: X16
fn narrow(v: vec4<f32>) -> Y4 { return Y4(v); } // stored: Y16

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let first = (wg.x + wg.y * grid.x) * (WG * PER) + t;
  for (var k = 0u; k < PER; k++) { // unroll
    let i = first + k * WG;
    if (4u * i < p.n) { y[i] = narrow(wide(x[i])); }
  }
}
