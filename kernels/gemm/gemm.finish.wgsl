// Two split products at once, without an epilogue: c = sum over splits of parts, c2 = sum of parts2, and with DBIAS and DBIAS2 their dbias. What two weight
// gradients of a block have left, in one dispatch. A thread takes a vector of c or of c2; in the first workgroups an element of dbias or of
// dbias2, whose partial sums may be many (partials.wgsl). Sums are in a fixed order.
const DBIAS = false; // knob: finish the parts of dbias too
const DBIAS2 = false; // knob: and those of dbias2
const VECTOR = 4u; // knob: elements of a vector, 1 for single ones (lib/elements.ts)
const WG = 64u; // knob: threads a workgroup
struct Params { splits: u32, rows: u32, n: u32, groups: u32, splits2: u32, rows2: u32, n2: u32, groups2: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<vec4<f32>>; // (splits, rows, n)
@group(0) @binding(2) var<storage, read> parts2: array<vec4<f32>>; // (splits2, rows2, n2)
@group(0) @binding(3) var<storage, read> dbiasParts: array<f32>; // (groups, rows) with DBIAS
@group(0) @binding(4) var<storage, read> dbiasParts2: array<f32>; // (groups2, rows2) with DBIAS2
@group(0) @binding(5) var<storage, read_write> c: array<vec4<f32>>; // (rows, n)
@group(0) @binding(6) var<storage, read_write> c2: array<vec4<f32>>; // (rows2, n2)
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>; // (rows) with DBIAS
@group(0) @binding(8) var<storage, read_write> dbias2: array<f32>; // (rows2) with DBIAS2

fn part(i: u32, second: bool) -> f32 {
  if (second) { return dbiasParts2[i]; }
  return dbiasParts[i];
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  var at = (wg.x + wg.y * groups.x) * WG + t;
  if (DBIAS || DBIAS2) {
    let first = select(0u, p.rows, DBIAS);
    let both = first + select(0u, p.rows2, DBIAS2);
    if (DBIAS && at < first) {
      dbias[at] = partialSum(at, p.rows, p.groups, false);
    } else if (DBIAS2 && at < both) {
      dbias2[at - first] = partialSum(at - first, p.rows2, p.groups2, true);
    }
    let before = (both + WG - 1u) / WG * WG;
    if (at < before) { return; }
    at -= before;
  }
  let size = p.rows * p.n / VECTOR;
  let size2 = p.rows2 * p.n2 / VECTOR;
  if (at < size) {
    var sum = vec4<f32>();
    for (var s = 0u; s < p.splits; s++) { sum += parts[s * size + at]; }
    c[at] = sum;
    return;
  }
  at -= size;
  if (at >= size2) { return; }
  var sum = vec4<f32>();
  for (var s = 0u; s < p.splits2; s++) { sum += parts2[s * size2 + at]; }
  c2[at] = sum;
}
