// C = epilogue(op(A) op(B)) on subgroup matrices: operands rounded to f16, sums in f32. SM x SN subgroups share a tile of C,
// RM x RN matrices each. Slices of BK are staged as they lie in memory: the matrix loads transpose. The next slice is
// fetched into registers while this one is multiplied. Matrices give no access to elements, so the epilogue goes
// through workgroup memory, a matrix of every subgroup a turn.
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
const PER_A = BM * BK / 4u / SM / SN / SUBGROUP; // vectors that a thread stages
const PER_B = BN * BK / 4u / SM / SN / SUBGROUP;
const SUMS = RM * RN;
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

var<workgroup> sums: array<f32, SM * SN * MM * MN>;

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
  let group = subgroupBroadcastFirst(t) / SUBGROUP;
  let row = group / SN * (RM * MM);
  let col = group % SN * (RN * MN);
  var acc: array<Sum, SUMS>;
  var rowSum = 0.0;
  var x: array<vec4<f16>, PER_A>;
  var y: array<vec4<f16>, PER_B>;
  for (var i = 0u; i < PER_A; i++) { // unroll
    x[i] = fetchA(tile, tile.start, t + i * THREADS);
  }
  for (var i = 0u; i < PER_B; i++) { // unroll
    y[i] = fetchB(tile, tile.start, t + i * THREADS);
  }
  for (var base = tile.start; base < tile.end; base += BK) {
    for (var i = 0u; i < PER_A; i++) { // unroll
      let at = (t + i * THREADS) * 4u / LONG_A * STRIDE_A + (t + i * THREADS) * 4u % LONG_A;
      for (var e = 0u; e < 4u; e++) { // unroll
        sa[at + e] = x[i][e];
      }
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      let at = (t + i * THREADS) * 4u / LONG_B * STRIDE_B + (t + i * THREADS) * 4u % LONG_B;
      for (var e = 0u; e < 4u; e++) { // unroll
        sb[at + e] = y[i][e];
      }
    }
    workgroupBarrier();
    if (DBIAS && tile.col == 0u && t < BM) {
      for (var depth = 0u; depth < BK; depth++) { rowSum += f32(sa[depth * STRIDE_A + t]); }
    }
    for (var i = 0u; i < PER_A; i++) { // unroll
      x[i] = fetchA(tile, base + BK, t + i * THREADS);
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      y[i] = fetchB(tile, base + BK, t + i * THREADS);
    }
    for (var depth = 0u; depth < BK; depth += MK) {
      var rights: array<Right, RN>;
      for (var j = 0u; j < RN; j++) { // unroll
        rights[j] = right(col + j * MN, depth);
      }
      for (var i = 0u; i < RM; i++) { // unroll
        let l = left(row + i * MM, depth);
        for (var j = 0u; j < RN; j++) { // unroll
          acc[i * RN + j] = subgroupMatrixMultiplyAccumulate(l, rights[j], acc[i * RN + j]);
        }
      }
    }
    workgroupBarrier();
  }
  if (DBIAS && tile.col == 0u && t < BM && tile.row + t < p.m) { dbias[tile.d + tile.row + t] = rowSum; }
  for (var turn = 0u; turn < SUMS; turn++) {
    for (var s = 0u; s < SUMS; s++) { // unroll
      if (turn == s) { subgroupMatrixStore<row_major>(&sums, group * MM * MN, acc[s], MN); }
    }
    workgroupBarrier();
    for (var i = t % SUBGROUP; i < MM * MN / 4u; i += SUBGROUP) {
      let down = tile.row + row + turn / RN * MM + i * 4u / MN;
      let across = tile.col + col + turn % RN * MN + i * 4u % MN;
      let at = (tile.c + down * p.ldc + across) / 4u;
      let s = t / SUBGROUP * (MM * MN) + i * 4u;
      let sum = vec4(sums[s], sums[s + 1u], sums[s + 2u], sums[s + 3u]);
      if (down < p.m && across < p.n) { finish(at, sum, biasOf(across / 4u), auxOf(at)); }
    }
    workgroupBarrier();
  }
}
