// C = epilogue(op(A) op(B)) at any size: register tiles of TM x TN a thread over BK-deep slices staged in workgroup memory.
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const BM = 64u; // knob: rows of C a workgroup
const BN = 64u; // knob: columns of C a workgroup
const TM = 4u; // knob: rows a thread, next to each other
const TN = 4u; // knob: columns a thread, BN / TN apart
const BK = 16u;
const RUN = 4u; // elements that a thread stages at a time, next to each other in memory
const ACROSS = BN / TN;
const THREADS = BM * BN / TM / TN;
const AS = BM + 2u; // spread the transposing stores over 32 banks
const BS = BN + 2u;
alias C1 = f32; // of c, r and u, for the epilogue
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<f32>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<f32>; // as c: residual (3) or factor (4)
@group(0) @binding(5) var<storage, read_write> c: array<f32>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<f32>; // as c: slope of the GELU with EPILOGUE 2
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>; // (splits, m) with DBIAS

var<workgroup> sa: array<f32, BK * AS>;
var<workgroup> sb: array<f32, BK * BS>;

// Four elements of A or B next to each other, zeros beyond the `left` that are inside the matrix.
fn runA(at: u32, left: u32) -> vec4<f32> {
  var v = vec4<f32>();
  for (var e = 0u; e < RUN; e++) { // unroll
    if (e < left) { v[e] = a[at + e]; }
  }
  return v;
}

fn runB(at: u32, left: u32) -> vec4<f32> {
  var v = vec4<f32>();
  for (var e = 0u; e < RUN; e++) { // unroll
    if (e < left) { v[e] = b[at + e]; }
  }
  return v;
}

@compute @workgroup_size(THREADS, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, BM, BN);
  if (tile.idle) { return; }
  let row = t / ACROSS * TM;
  let col = t % ACROSS;
  var acc: array<f32, TM * TN>;
  var rowSum = 0.0;
  for (var base = tile.start; base < tile.end; base += BK) {
    for (var i = t * RUN; i < BM * BK; i += THREADS * RUN) {
      if (LAYOUT == 2u) {
        let kk = i / BM;
        let mm = i % BM;
        let left = select(0u, p.m - min(p.m, tile.row + mm), base + kk < tile.end);
        let v = runA(tile.a + (base + kk) * p.lda + tile.row + mm, left);
        for (var e = 0u; e < RUN; e++) { // unroll
          sa[kk * AS + mm + e] = v[e];
        }
      } else {
        let mm = i / BK;
        let kk = i % BK;
        let left = select(0u, tile.end - min(tile.end, base + kk), tile.row + mm < p.m);
        let v = runA(tile.a + (tile.row + mm) * p.lda + base + kk, left);
        for (var e = 0u; e < RUN; e++) { // unroll
          sa[(kk + e) * AS + mm] = v[e];
        }
      }
    }
    for (var i = t * RUN; i < BN * BK; i += THREADS * RUN) {
      if (LAYOUT == 1u) {
        let nn = i / BK;
        let kk = i % BK;
        let left = select(0u, tile.end - min(tile.end, base + kk), tile.col + nn < p.n);
        let v = runB(tile.b + (tile.col + nn) * p.ldb + base + kk, left);
        for (var e = 0u; e < RUN; e++) { // unroll
          sb[(kk + e) * BS + nn] = v[e];
        }
      } else {
        let kk = i / BN;
        let nn = i % BN;
        let left = select(0u, p.n - min(p.n, tile.col + nn), base + kk < tile.end);
        let v = runB(tile.b + (base + kk) * p.ldb + tile.col + nn, left);
        for (var e = 0u; e < RUN; e++) { // unroll
          sb[kk * BS + nn + e] = v[e];
        }
      }
    }
    workgroupBarrier();
    if (DBIAS && tile.col == 0u && t < BM) {
      for (var kk = 0u; kk < BK; kk++) { rowSum += sa[kk * AS + t]; }
    }
    for (var kk = 0u; kk < BK; kk++) {
      var x: array<f32, TM>;
      var y: array<f32, TN>;
      for (var i = 0u; i < TM; i++) { // unroll
        x[i] = sa[kk * AS + row + i];
      }
      for (var j = 0u; j < TN; j++) { // unroll
        y[j] = sb[kk * BS + col + j * ACROSS];
      }
      for (var i = 0u; i < TM; i++) { // unroll
        for (var j = 0u; j < TN; j++) { // unroll
          acc[i * TN + j] += x[i] * y[j];
        }
      }
    }
    workgroupBarrier();
  }
  if (DBIAS && tile.col == 0u && t < BM && tile.row + t < p.m) { dbias[tile.d + tile.row + t] = rowSum; }
  for (var i = 0u; i < TM; i++) {
    for (var j = 0u; j < TN; j++) {
      let rr = tile.row + row + i;
      let cc = tile.col + col + j * ACROSS;
      let at = tile.c + rr * p.ldc + cc;
      if (rr < p.m && cc < p.n) { finish(at, acc[i * TN + j], biasOf(cc), auxOf(at)); }
    }
  }
}
