// C = epilogue(sum of the partial products of a split gemm), one thread an element, in a fixed order. With DBIAS the first workgroups sum its
// partial sums instead, however many: one thread an element (partials.wgsl).
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: finish the parts of dbias too
const WG = 64u; // knob: threads a workgroup
alias C1 = f32; // of c, r and u, for the epilogue
struct Params { splits: u32, rows: u32, n: u32, groups: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>; // (splits, rows, n)
@group(0) @binding(2) var<storage, read> bias: array<f32>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(3) var<storage, read> r: array<f32>; // as c: residual (3) or factor (4)
@group(0) @binding(4) var<storage, read_write> c: array<f32>; // (rows, n)
@group(0) @binding(5) var<storage, read_write> u: array<f32>; // as c: slope of the GELU with EPILOGUE 2
@group(0) @binding(6) var<storage, read> dbiasParts: array<f32>; // (groups, rows) with DBIAS
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>; // (rows) with DBIAS

fn part(i: u32, second: bool) -> f32 { return dbiasParts[i]; }

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  var at = (wg.x + wg.y * groups.x) * WG + t;
  if (DBIAS) {
    let before = (p.rows + WG - 1u) / WG * WG;
    if (at < before) {
      if (at < p.rows) { dbias[at] = partialSum(at, p.rows, p.groups, false); }
      return;
    }
    at -= before;
  }
  let size = p.rows * p.n;
  if (at >= size) { return; }
  var sum = 0.0;
  for (var s = 0u; s < p.splits; s++) { sum += parts[s * size + at]; }
  finish(at, sum, biasOf(at % p.n), auxOf(at));
}
