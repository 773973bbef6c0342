// flags[g] = 1 where the g-th contiguous chunk of g holds an infinity or a NaN, else 0. A workgroup a chunk, one owner a flag.
// Bits are tested (all ones in the exponent): a shader may take it that floats are finite and fold such a test away.
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 256u; // knob: threads, a power of two
struct Params { n: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4<u32>>; // (n): the bits of f32 gradients
@group(0) @binding(2) var<storage, read_write> flags: array<u32>; // (groups)

fn exponent(i: u32) -> vec4<u32> { return g[i] & vec4<u32>(0x7f800000u); }

@compute @workgroup_size(WG, 1, 1)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  let vectors = p.n / VECTOR;
  let chunk = ((p.n + p.groups - 1u) / p.groups + 3u) / 4u * (4u / VECTOR); // whole vectors of 4
  let end = min(vectors, (wg.x + 1u) * chunk);
  var largest = vec4<u32>();
  var i = wg.x * chunk + t;
  for (; i + 3u * WG < end; i += 4u * WG) {
    largest = max(largest, max(max(exponent(i), exponent(i + WG)), max(exponent(i + 2u * WG), exponent(i + 3u * WG))));
  }
  for (; i < end; i += WG) { largest = max(largest, exponent(i)); }
  let found = rowSum(t, select(0.0, 1.0, any(largest == vec4<u32>(0x7f800000u))));
  if (t == 0u) { flags[wg.x] = select(0u, 1u, found > 0.0); }
}
