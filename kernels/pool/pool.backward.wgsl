// Gradient of pool.forward: dx_nld = dy_nd / L for l >= 1, 0 for the cls token. A thread takes an element.
const WG = 64u; // knob: threads
struct Params { batch: u32, tokens: u32, dim: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>; // (batch, dim)
@group(0) @binding(2) var<storage, read_write> dx: array<f32>; // (batch, tokens, dim)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let i = (wg.x + wg.y * grid.x) * WG + t;
  if (i >= p.batch * p.tokens * p.dim) { return; }
  let row = i / p.dim;
  let share = dy[row / p.tokens * p.dim + i % p.dim] / f32(p.tokens - 1u);
  dx[i] = select(share, 0.0, row % p.tokens == 0u);
}
