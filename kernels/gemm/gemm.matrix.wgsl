// C = epilogue(op(A) op(B)) on subgroup matrices: operands rounded to f16, sums in f32. SM x SN subgroups share a tile of C,
// RM x RN matrices each. Slices of BK are staged as they lie in memory: the matrix loads transpose. The next slice is
// fetched into registers while this one is multiplied; what else is to hide, another workgroup on the same processor hides
// (gemm.md). Matrices give no access to elements, so the epilogue goes through workgroup memory, a row of matrices of every
// subgroup a turn; in a tile that lies inside C without a branch, behind which every load would be waited for alone.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const MM = 8u; // knob: the adapter multiplies MM x MK by MK x MN
const MN = 8u; // knob: a multiple of 4
const MK = 8u; // knob: divides BK
const SUBGROUP = 16u; // knob: the largest subgroup of the adapter; smaller ones repeat each other's work
const SM = 2u; // knob: subgroups along the rows of the tile
const SN = 2u; // knob: and along its columns
const RM = 2u; // knob: matrices a subgroup along the rows
const RN = 2u; // knob: and along the columns
const BK = 16u; // knob: depth of a slice
const BM = SM * RM * MM;
const BN = SN * RN * MN;
const THREADS = SM * SN * SUBGROUP;
const PER_A = BM * BK / 8u / SM / SN / SUBGROUP; // eights of f16 that a thread stages
const PER_B = BN * BK / 8u / SM / SN / SUBGROUP;
alias A4 = vec4<f32>; // stored: A16
alias B4 = vec4<f32>; // stored: B16
alias C4 = vec4<f32>; // stored: C16
alias Left = subgroup_matrix_left<f16, MK, MM>;
alias Right = subgroup_matrix_right<f16, MN, MK>;
alias Sum = subgroup_matrix_result<f32, MN, MM>;
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<A4>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<B4>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<C4>; // as c: residual (3) or factor (4)
@group(0) @binding(5) var<storage, read_write> c: array<C4>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<C4>; // as c: slope of the GELU with EPILOGUE 2
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>; // (splits, m) with DBIAS

fn wideC(q: C4) -> vec4<f32> { return vec4<f32>(q); } // stored: C16
fn narrowC(v: vec4<f32>) -> C4 { return C4(v); } // stored: C16

@compute @workgroup_size(THREADS, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, BM, BN);
  if (tile.idle) { return; }
  // The remainder changes nothing, but shows the compiler that no index is out of bounds, so that it adds no checks.
  let group = subgroupBroadcastFirst(t) / SUBGROUP % (SM * SN);
  let row = group / SN * (RM * MM);
  let col = group % SN * (RN * MN);
  let ends = vec2(lastA(tile), lastB(tile));
  var acc: array<Sum, SUMS>; // registers
  var fromA: array<u32, PER_A>; // registers
  var fromB: array<u32, PER_B>; // registers
  var x: array<vec4<u32>, PER_A>; // registers
  var y: array<vec4<u32>, PER_B>; // registers
  let share = shareOf(tile, t);
  var low = vec4<f32>();
  var high = vec4<f32>();
  for (var i = 0u; i < PER_A; i++) { // unroll
    fromA[i] = originA(tile, t + i * THREADS);
    x[i] = eightA(fromA[i] + alongA(tile.start), ends.x);
  }
  for (var i = 0u; i < PER_B; i++) { // unroll
    fromB[i] = originB(tile, t + i * THREADS);
    y[i] = eightB(fromB[i] + alongB(tile.start), ends.y);
  }
  for (var base = tile.start; base < tile.end; base += BK) {
    // Only the last slice of a depth that is no multiple of BK. Besides, this copies what was fetched, so that NVIDIA asks
    // for the next slice before this one is stored; without it, after (gemm.md).
    if (base + BK > tile.end) {
      for (var i = 0u; i < PER_A; i++) { // unroll
        x[i] = insideA(x[i], t + i * THREADS, tile.end - base);
      }
      for (var i = 0u; i < PER_B; i++) { // unroll
        y[i] = insideB(y[i], t + i * THREADS, tile.end - base);
      }
    }
    for (var i = 0u; i < PER_A; i++) { // unroll
      pool[(t + i * THREADS) / LONG_A * STRIDE_A + (t + i * THREADS) % LONG_A] = x[i];
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      pool[SLICE_A + (t + i * THREADS) / LONG_B * STRIDE_B + (t + i * THREADS) % LONG_B] = y[i];
    }
    workgroupBarrier();
    for (var i = 0u; i < PER_A; i++) { // unroll
      x[i] = eightA(fromA[i] + alongA(base + BK), ends.x);
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      y[i] = eightB(fromB[i] + alongB(base + BK), ends.y);
    }
    if (DBIAS) {
      for (var down = share.down; down < BK; down += share.step) {
        let eight = pool[down * STRIDE_A + share.eight];
        low += vec4<f32>(bitcast<vec4<f16>>(eight.xy));
        high += vec4<f32>(bitcast<vec4<f16>>(eight.zw));
      }
    }
    for (var depth = 0u; depth < BK; depth += MK) {
      // These bounds show that no load reaches out of bounds. Where that must be checked, a load's stride is no constant any
      // more, and NVIDIA takes several times as long (gemm.md).
      let left = min(placeA(row, depth), POOL - REACH_A);
      let right = min(placeB(depth, col), POOL - REACH_B);
      var rights: array<Right, RN>; // registers
      for (var j = 0u; j < RN; j++) { // unroll
        if (LAYOUT == 1u) { rights[j] = subgroupMatrixLoad<Right, col_major>(&pool, right + j * MN * STRIDE_B, STRIDE_B); }
        else { rights[j] = subgroupMatrixLoad<Right, row_major>(&pool, right + j * MN / 8u, STRIDE_B); }
      }
      for (var i = 0u; i < RM; i++) { // unroll
        var l: Left;
        if (LAYOUT == 2u) { l = subgroupMatrixLoad<Left, col_major>(&pool, left + i * MM / 8u, STRIDE_A); }
        else { l = subgroupMatrixLoad<Left, row_major>(&pool, left + i * MM * STRIDE_A, STRIDE_A); }
        for (var j = 0u; j < RN; j++) { // unroll
          acc[i * RN + j] = subgroupMatrixMultiplyAccumulate(l, rights[j], acc[i * RN + j]);
        }
      }
    }
    workgroupBarrier();
  }
  if (DBIAS) { sumRows(tile, share, t, low, high); }
  let sums = t / SUBGROUP * MM * ACROSS;
  let whole = MM * QUADS % SUBGROUP == 0u && tile.row + BM <= p.m && tile.col + BN <= p.n;
  for (var i = 0u; i < RM; i++) { // unroll
    for (var j = 0u; j < RN; j++) { // unroll
      subgroupMatrixStore<row_major>(&pool, group * MM * ACROSS + j * MN / 4u, acc[i * RN + j], ACROSS);
    }
    workgroupBarrier();
    let corner = vec2(tile.row + row + i * MM, tile.col + col);
    if (whole) {
      var aux: array<vec4<f32>, STEPS>; // registers
      for (var s = 0u; s < STEPS; s++) { // unroll
        aux[s] = auxOf(quadAt(tile, corner, t % SUBGROUP + s * SUBGROUP));
      }
      for (var s = 0u; s < STEPS; s++) { // unroll
        let e = t % SUBGROUP + s * SUBGROUP;
        finish(quadAt(tile, corner, e), sumAt(sums, e), biasOf(corner.y / 4u + e % QUADS), aux[s]);
      }
    } else {
      finishEdge(tile, corner, sums, t % SUBGROUP);
    }
    workgroupBarrier();
  }
}
