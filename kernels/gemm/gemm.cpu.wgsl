// C = epilogue(op(A) op(B)) on software adapters: no barriers, a lane is a column, A comes by uniform address.
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times gelu'(r)
const SG = 16u; // knob: lanes of a subgroup, which is the workgroup
const TM = 8u; // knob: rows a lane
const TN = 2u; // knob: columns a lane, SG apart
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<f32>; // as c: residual (3) or pre-activation (4)
@group(0) @binding(5) var<storage, read_write> c: array<f32>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<f32>; // as c: pre-activation with EPILOGUE 2

@compute @workgroup_size(SG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, TM, TN * SG);
  if (tile.idle) { return; }
  // Rows and columns beyond the matrix repeat the last one and are not stored.
  var rows: array<u32, TM>;
  var cols: array<u32, TN>;
  for (var i = 0u; i < TM; i++) { // unroll
    rows[i] = tile.a + min(tile.row + i, p.m - 1u) * select(p.lda, 1u, LAYOUT == 2u);
  }
  for (var j = 0u; j < TN; j++) { // unroll
    cols[j] = tile.b + min(tile.col + j * SG + lane, p.n - 1u) * select(1u, p.ldb, LAYOUT == 1u);
  }
  let stepA = select(1u, p.lda, LAYOUT == 2u);
  let stepB = select(p.ldb, 1u, LAYOUT == 1u);
  var acc: array<f32, TM * TN>;
  for (var kk = tile.start; kk < tile.end; kk++) {
    var y: array<f32, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
      y[j] = b[cols[j] + kk * stepB];
    }
    for (var i = 0u; i < TM; i++) { // unroll
      let x = a[rows[i] + kk * stepA];
      for (var j = 0u; j < TN; j++) { // unroll
        acc[i * TN + j] += x * y[j];
      }
    }
  }
  for (var i = 0u; i < TM; i++) {
    for (var j = 0u; j < TN; j++) {
      let rr = tile.row + i;
      let cc = tile.col + j * SG + lane;
      if (rr < p.m && cc < p.n) { finish(tile.c + rr * p.ldc + cc, cc, acc[i * TN + j]); }
    }
  }
}
