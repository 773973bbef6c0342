// C = epilogue(op(A) op(B)): register tiles of TM x TN a thread over BK-deep slices staged in workgroup memory.
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times gelu'(r)
const BM = 64u; // knob: rows of C a workgroup
const BN = 64u; // knob: columns of C a workgroup
const TM = 4u; // knob: rows a thread
const TN = 4u; // knob: columns a thread
const BK = 16u;
const ACROSS = BN / TN;
const THREADS = BM * BN / TM / TN;
const AS = BM + 1u; // odd strides: the transposing stores spread over the banks
const BS = BN + 1u;
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<f32>; // as c: residual (3) or pre-activation (4)
@group(0) @binding(5) var<storage, read_write> c: array<f32>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<f32>; // as c: pre-activation with EPILOGUE 2

var<workgroup> sa: array<f32, BK * AS>;
var<workgroup> sb: array<f32, BK * BS>;

@compute @workgroup_size(THREADS, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, BM, BN);
  if (tile.idle) { return; }
  let row = t / ACROSS * TM;
  let col = t % ACROSS * TN;
  var acc: array<f32, TM * TN>;
  for (var base = tile.start; base < tile.end; base += BK) {
    for (var i = t; i < BM * BK; i += THREADS) {
      // Neighbouring threads read along the contiguous dimension.
      let kk = select(i % BK, i / BM, LAYOUT == 2u);
      let mm = select(i / BK, i % BM, LAYOUT == 2u);
      let at = select((tile.row + mm) * p.lda + base + kk, (base + kk) * p.lda + tile.row + mm, LAYOUT == 2u);
      var value = 0.0;
      if (tile.row + mm < p.m && base + kk < tile.end) { value = a[tile.a + at]; }
      sa[kk * AS + mm] = value;
    }
    for (var i = t; i < BN * BK; i += THREADS) {
      let kk = select(i / BN, i % BK, LAYOUT == 1u);
      let nn = select(i % BN, i / BK, LAYOUT == 1u);
      let at = select((base + kk) * p.ldb + tile.col + nn, (tile.col + nn) * p.ldb + base + kk, LAYOUT == 1u);
      var value = 0.0;
      if (tile.col + nn < p.n && base + kk < tile.end) { value = b[tile.b + at]; }
      sb[kk * BS + nn] = value;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < BK; kk++) {
      var x: array<f32, TM>;
      var y: array<f32, TN>;
      for (var i = 0u; i < TM; i++) { // unroll
        x[i] = sa[kk * AS + row + i];
      }
      for (var j = 0u; j < TN; j++) { // unroll
        y[j] = sb[kk * BS + col + j];
      }
      for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
          acc[i * TN + j] += x[i] * y[j];
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < TM; i++) {
    for (var j = 0u; j < TN; j++) {
      let rr = tile.row + row + i;
      let cc = tile.col + col + j;
      if (rr < p.m && cc < p.n) { finish(tile.c + rr * p.ldc + cc, cc, acc[i * TN + j]); }
    }
  }
}
