// U[0, 1) with 24 bits: four numbers a thread, from the counter (block of n, sample id, epoch, 0) under (seed, stream).
const WG = 64u; // knob: threads
struct Params { samples: u32, n: u32, seed: u32, stream: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>; // (samples)
@group(0) @binding(2) var<storage, read> clock: array<u32>; // (2): epoch, step
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // (samples, n)

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) grid: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let index = (wg.x + wg.y * grid.x) * WG + t;
  let blocks = (p.n + 3u) / 4u;
  let sample = index / blocks;
  if (sample >= p.samples) { return; }
  let block = index % blocks;
  let words = philox4x32(vec4(block, ids[sample], clock[0], 0u), vec2(p.seed, p.stream));
  for (var j = 0u; j < 4u; j++) {
    let i = 4u * block + j;
    if (i < p.n) { out[sample * p.n + i] = f32(words[j] >> 8u) * 0x1p-24f; }
  }
}
