// The gradient of q, k and v on subgroup matrices, from recomputed probabilities, every row of dqkv written by one owner.
// Two roles in one dispatch, alike but for names, as in attention.backward: a workgroup owns STRIPS x MM rows of q and dO
// (or of k and v) as f16 matrices, a strip a subgroup, and goes over tiles of the other side in workgroup memory. P and
// the score's gradient dS are f32 until they are rounded for the products; scale is applied to their f32 sums.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const DIM = 64u; // knob: head dimension, a multiple of 4
const WIDE = 64u; // knob: DIM rounded up to a multiple of MN and MK
const MM = 8u; // knob: rows of a product of subgroup matrices
const MN = 8u; // knob: its columns
const MK = 8u; // knob: its depth
const STRIPS = 2u; // knob: strips of MM rows
const LANES = 32u; // knob: threads a strip, no fewer than MM or the largest subgroup; smaller ones repeat each other's work
const TILE = 16u; // knob: rows a tile, a multiple of MM, MN and MK
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read> dO: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read> lse: array<f32>; // (batch, heads, tokens)
@group(0) @binding(4) var<storage, read> delta: array<f32>; // (batch, heads, tokens)
@group(0) @binding(5) var<storage, read_write> dqkv: array<Quad>; // (batch, tokens, 3, heads, dim)

var<workgroup> qks: array<vec4<f16>, TILE * STRIDE>;
var<workgroup> dovs: array<vec4<f16>, TILE * STRIDE>;
var<workgroup> scores: array<vec4<f32>, ROWS * SCORES>; // of dq or dk last
var<workgroup> dps: array<vec4<f32>, ROWS * SCORES>; // of dv last
var<workgroup> ps: array<vec4<f16>, ROWS * WEIGHTS>;
var<workgroup> dss: array<vec4<f16>, ROWS * WEIGHTS>;
var<workgroup> saved: array<vec2<f32>, TILE>;

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

fn loadSaved(wg: vec3<u32>, token: u32) -> vec2<f32> {
  let row = (wg.z * p.heads + wg.y) * p.tokens + min(token, p.tokens - 1u);
  return vec2<f32>(lse[row], delta[row]);
}

// TILE rows from `first` on, of k and v or of q and dO; zeros past the end of the rows or of the row.
fn stage(wg: vec3<u32>, t: u32, first: u32, keys: bool) {
  for (var e = t; e < TILE * WIDE / 4u; e += WG) {
    let token = first + e / (WIDE / 4u);
    let column = e % (WIDE / 4u);
    let at = e / (WIDE / 4u) * STRIDE + column;
    let inside = token < p.tokens && column < DIM / 4u;
    qks[at] = vec4<f16>();
    dovs[at] = vec4<f16>();
    if (inside) {
      qks[at] = vec4<f16>(wide(qkv[rowAt(wg, token, u32(keys)) + column]));
      if (keys) { dovs[at] = vec4<f16>(wide(qkv[rowAt(wg, token, 2u) + column])); }
      else { dovs[at] = vec4<f16>(wide(dO[oAt(wg, token) + column])); }
    }
  }
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let strip = subgroupBroadcastFirst(t) / LANES;
  let blocks = (p.tokens + ROWS - 1u) / ROWS;
  let keys = wg.x >= blocks; // the role: owner of rows of k and v
  let start = wg.x % blocks * ROWS;
  let row = t / PARTS;
  let own = loadSaved(wg, start + row);
  var qk: array<Left, DEPTH>;
  var dov: array<Left, DEPTH>;
  var dqk: array<Sum, ACROSS>;
  var dv: array<Sum, ACROSS>;
  for (var first = 0u; first < ROWS; first += TILE) {
    workgroupBarrier();
    stage(wg, t, start + first, keys);
    workgroupBarrier();
    if (strip * MM >= first && strip * MM < min(first + TILE, ROWS)) {
      for (var k = 0u; k < DEPTH; k++) { // unroll
        qk[k] = subgroupMatrixLoad<Left, row_major>(&qks, (strip * MM - first) * STRIDE + k * MK / 4u, STRIDE);
        dov[k] = subgroupMatrixLoad<Left, row_major>(&dovs, (strip * MM - first) * STRIDE + k * MK / 4u, STRIDE);
      }
    }
  }
  for (var first = 0u; first < p.tokens; first += TILE) {
    workgroupBarrier();
    stage(wg, t, first, !keys);
    for (var e = t; e < TILE; e += WG) { saved[e] = loadSaved(wg, first + e); }
    workgroupBarrier();
    for (var n = 0u; n < TILE; n += MN) {
      var s = Sum();
      var dp = Sum();
      for (var k = 0u; k < DEPTH; k++) { // unroll
        s = subgroupMatrixMultiplyAccumulate(
          qk[k], subgroupMatrixLoad<Right, col_major>(&qks, n * STRIDE + k * MK / 4u, STRIDE), s);
        dp = subgroupMatrixMultiplyAccumulate(
          dov[k], subgroupMatrixLoad<Right, col_major>(&dovs, n * STRIDE + k * MK / 4u, STRIDE), dp);
      }
      subgroupMatrixStore<row_major>(&scores, strip * MM * SCORES + n / 4u, s, SCORES);
      subgroupMatrixStore<row_major>(&dps, strip * MM * SCORES + n / 4u, dp, SCORES);
    }
    workgroupBarrier();
    for (var i = t % PARTS; i < TILE / 4u; i += PARTS) {
      var both = mat4x2<f32>(own, own, own, own);
      if (keys) { both = mat4x2<f32>(saved[4u * i], saved[4u * i + 1u], saved[4u * i + 2u], saved[4u * i + 3u]); }
      let each = transpose(both); // log-sum-exps, deltas
      let inside = vec4<u32>(first + 4u * i) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(p.tokens);
      let probability = exp(select(vec4<f32>(-1e30), p.scale * scores[row * SCORES + i] - each[0], inside));
      ps[row * WEIGHTS + i] = vec4<f16>(probability);
      dss[row * WEIGHTS + i] = vec4<f16>(probability * (dps[row * SCORES + i] - each[1]));
    }
    workgroupBarrier();
    for (var k = 0u; k < TILE; k += MK) {
      let ds = subgroupMatrixLoad<Left, row_major>(&dss, strip * MM * WEIGHTS + k / 4u, WEIGHTS);
      for (var n = 0u; n < ACROSS; n++) { // unroll
        dqk[n] = subgroupMatrixMultiplyAccumulate(
          ds, subgroupMatrixLoad<Right, row_major>(&qks, k * STRIDE + n * MN / 4u, STRIDE), dqk[n]);
      }
      if (keys) {
        let w = subgroupMatrixLoad<Left, row_major>(&ps, strip * MM * WEIGHTS + k / 4u, WEIGHTS);
        for (var n = 0u; n < ACROSS; n++) { // unroll
          dv[n] = subgroupMatrixMultiplyAccumulate(
            w, subgroupMatrixLoad<Right, row_major>(&dovs, k * STRIDE + n * MN / 4u, STRIDE), dv[n]);
        }
      }
    }
  }
  for (var n = 0u; n < ACROSS; n++) { // unroll
    subgroupMatrixStore<row_major>(&scores, strip * MM * SCORES + n * MN % TILE / 4u, dqk[n], SCORES);
    subgroupMatrixStore<row_major>(&dps, strip * MM * SCORES + n * MN % TILE / 4u, dv[n], SCORES);
    if ((n + 1u) * MN % TILE == 0u || n + 1u == ACROSS) {
      workgroupBarrier();
      for (var i = t % PARTS; i < TILE / 4u; i += PARTS) {
        let column = n * MN / TILE * (TILE / 4u) + i;
        if (start + row < p.tokens && column < DIM / 4u) {
          dqkv[rowAt(wg, start + row, u32(keys)) + column] = narrow(p.scale * scores[row * SCORES + i]);
          if (keys) { dqkv[rowAt(wg, start + row, 2u) + column] = narrow(dps[row * SCORES + i]); }
        }
      }
      workgroupBarrier();
    }
  }
}
