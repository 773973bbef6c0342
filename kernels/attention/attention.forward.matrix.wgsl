// o = softmax(scale q k^T) v of every head on subgroup matrices, and each row's log-sum-exp. A workgroup owns STRIPS x MM
// query rows, a strip a subgroup, held as f16 matrices; tiles of k and v go through workgroup memory as f16, sums are f32.
// Two visits to the keys: one for lse, one that adds exp(S - lse) v. So the sums stay in their matrices, whose rows cannot
// be reached to rescale them as an online softmax must; one more product S is the price, and none where a tile holds all keys.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const DIM = 64u; // knob: head dimension, a multiple of 4
const WIDE = 64u; // knob: DIM rounded up to a multiple of MN and MK
const MM = 8u; // knob: rows of a product of subgroup matrices
const MN = 8u; // knob: its columns
const MK = 8u; // knob: its depth
const STRIPS = 2u; // knob: strips of MM query rows
const LANES = 32u; // knob: threads a strip, no fewer than MM or the largest subgroup; smaller ones repeat each other's work
const TILE = 16u; // knob: keys a tile, a multiple of MM, MN and MK
const NONE = -1e30; // below every score, and finite
alias Quad = vec4<f32>; // stored: HALF
struct Params { batch: u32, tokens: u32, heads: u32, dim: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> qkv: array<Quad>; // (batch, tokens, 3, heads, dim)
@group(0) @binding(2) var<storage, read_write> o: array<Quad>; // (batch, tokens, heads, dim)
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // (batch, heads, tokens)

var<workgroup> ks: array<vec4<f16>, TILE * STRIDE>; // of q first
var<workgroup> vs: array<vec4<f16>, TILE * STRIDE>;
var<workgroup> scores: array<vec4<f32>, ROWS * SCORES>; // of o last
var<workgroup> weights: array<vec4<f16>, ROWS * WEIGHTS>;
var<workgroup> parts: array<vec2<f32>, WG>;

fn wide(q: Quad) -> vec4<f32> { return vec4<f32>(q); } // stored: HALF
fn narrow(v: vec4<f32>) -> Quad { return Quad(v); } // stored: HALF

// A vec4 of row `token` of q (0), k (1) or v (2) as f16, zeros past the end of the rows or of the row.
fn load(wg: vec3<u32>, token: u32, which: u32, column: u32) -> vec4<f16> {
  if (token >= p.tokens || column >= DIM / 4u) { return vec4<f16>(); }
  return vec4<f16>(wide(qkv[rowAt(wg, token, which) + column]));
}

// scale S of four keys from `key` on.
fn score(row: u32, first: u32, i: u32) -> vec4<f32> {
  let key = vec4<u32>(first + 4u * i) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(NONE), p.scale * scores[row * SCORES + i], key < vec4<u32>(p.tokens));
}

@compute @workgroup_size(WG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let strip = subgroupBroadcastFirst(t) / LANES;
  let row = t / PARTS;
  let token = wg.x * ROWS + row;
  let tiles = (p.tokens + TILE - 1u) / TILE;
  var q: array<Left, DEPTH>;
  var sum: array<Sum, ACROSS>;
  for (var first = 0u; first < ROWS; first += TILE) {
    workgroupBarrier();
    for (var e = t; e < TILE * WIDE / 4u; e += WG) {
      let r = e / (WIDE / 4u);
      let column = e % (WIDE / 4u);
      ks[r * STRIDE + column] = load(wg, wg.x * ROWS + first + r, 0u, column);
    }
    workgroupBarrier();
    if (strip * MM >= first && strip * MM < min(first + TILE, ROWS)) {
      for (var k = 0u; k < DEPTH; k++) { // unroll
        q[k] = subgroupMatrixLoad<Left, row_major>(&ks, (strip * MM - first) * STRIDE + k * MK / 4u, STRIDE);
      }
    }
  }
  var top = NONE;
  var total = 0.0;
  for (var visit = 0u; visit < 2u * tiles; visit++) {
    let again = visit >= tiles;
    let first = select(visit, visit - tiles, again) * TILE;
    workgroupBarrier();
    for (var e = t; e < TILE * WIDE / 4u; e += WG) {
      let r = e / (WIDE / 4u);
      let column = e % (WIDE / 4u);
      if (tiles > 1u || !again) { ks[r * STRIDE + column] = load(wg, first + r, 1u, column); }
      if (again) { vs[r * STRIDE + column] = load(wg, first + r, 2u, column); }
    }
    if (visit == tiles) {
      parts[t] = vec2<f32>(top, total);
    }
    workgroupBarrier();
    if (visit == tiles) {
      for (var i = 0u; i < PARTS; i++) { top = max(top, parts[row * PARTS + i].x); }
      total = 0.0;
      for (var i = 0u; i < PARTS; i++) { total += parts[row * PARTS + i].y * exp(parts[row * PARTS + i].x - top); }
    }
    if (tiles > 1u || !again) {
      for (var n = 0u; n < TILE; n += MN) {
        var s = Sum();
        for (var k = 0u; k < DEPTH; k++) { // unroll
          s = subgroupMatrixMultiplyAccumulate(
            q[k], subgroupMatrixLoad<Right, col_major>(&ks, n * STRIDE + k * MK / 4u, STRIDE), s);
        }
        subgroupMatrixStore<row_major>(&scores, strip * MM * SCORES + n / 4u, s, SCORES);
      }
    }
    workgroupBarrier();
    for (var i = t % PARTS; i < TILE / 4u; i += PARTS) {
      let s = score(row, first, i);
      if (again) {
        weights[row * WEIGHTS + i] = vec4<f16>(exp(s - top) / total);
      } else {
        let newTop = max(max(max(s.x, s.y), max(s.z, s.w)), top);
        total = total * exp(top - newTop) + dot(exp(s - newTop), vec4<f32>(1.0));
        top = newTop;
      }
    }
    if (again) {
      workgroupBarrier();
      for (var k = 0u; k < TILE; k += MK) {
        let w = subgroupMatrixLoad<Left, row_major>(&weights, strip * MM * WEIGHTS + k / 4u, WEIGHTS);
        for (var n = 0u; n < ACROSS; n++) { // unroll
          sum[n] = subgroupMatrixMultiplyAccumulate(
            w, subgroupMatrixLoad<Right, row_major>(&vs, k * STRIDE + n * MN / 4u, STRIDE), sum[n]);
        }
      }
    }
  }
  for (var n = 0u; n < ACROSS; n++) { // unroll
    subgroupMatrixStore<row_major>(&scores, strip * MM * SCORES + n * MN % TILE / 4u, sum[n], SCORES);
    if ((n + 1u) * MN % TILE == 0u || n + 1u == ACROSS) {
      workgroupBarrier();
      for (var i = t % PARTS; i < TILE / 4u; i += PARTS) {
        let column = n * MN / TILE * (TILE / 4u) + i;
        if (token < p.tokens && column < DIM / 4u) {
          o[oAt(wg, token) + column] = narrow(scores[row * SCORES + i]);
        }
      }
      workgroupBarrier();
    }
  }
  if (token < p.tokens && t % PARTS == 0u) {
    lse[(wg.z * p.heads + wg.y) * p.tokens + token] = top + log(total);
  }
}
