// C = epilogue(op(A) op(B)) where everything comes in whole vectors of 4: register tiles of 4 QM x 4 QN a thread over
// BK-deep slices that are staged in workgroup memory as vectors along the tile's edge. Blocks of 4 x 4 are staged at a
// time, transposed in registers where memory runs along k.
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const BM = 64u; // knob: rows of C a workgroup, a multiple of 32
const BN = 64u; // knob: columns of C a workgroup, a multiple of 32
const BK = 16u; // knob: depth of a slice: 8, 16 or 32
const QM = 1u; // knob: vectors of rows a thread, BM / QM apart
const QN = 1u; // knob: vectors of columns a thread, BN / QN apart
const MB = BM / 4u;
const NB = BN / 4u;
const KB = BK / 4u;
const TM = QM * 4u;
const SUMS = TM * QN;
const DOWN = MB / QM;
const ACROSS = NB / QN;
const THREADS = DOWN * ACROSS;
const PER_A = (MB * KB + THREADS - 1u) / THREADS; // blocks that a thread stages, at most
const PER_B = (NB * KB + THREADS - 1u) / THREADS;
const SWIZZLE = 32u / BK; // xor with the block's depth: the transposing stores of 8 neighbours meet 8 groups of 4 banks
alias A4 = vec4<f32>; // stored: A16
alias B4 = vec4<f32>; // stored: B16
alias C4 = vec4<f32>; // stored: C16
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<A4>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<B4>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<C4>; // as c: residual (3) or factor (4)
@group(0) @binding(5) var<storage, read_write> c: array<C4>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<C4>; // as c: slope of the GELU with EPILOGUE 2
@group(0) @binding(7) var<storage, read_write> dbias: array<vec4<f32>>; // (splits, m) with DBIAS

var<workgroup> sa: array<vec4<f32>, BK * MB>;
var<workgroup> sb: array<vec4<f32>, BK * NB>;

fn wideA(q: A4) -> vec4<f32> { return vec4<f32>(q); } // stored: A16
fn wideB(q: B4) -> vec4<f32> { return vec4<f32>(q); } // stored: B16
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
  let down = t / ACROSS;
  let across = t % ACROSS;
  var acc: array<vec4<f32>, SUMS>;
  var rowSums = vec4<f32>();
  var xs: array<mat4x4<f32>, PER_A>; // registers
  var ys: array<mat4x4<f32>, PER_B>; // registers
  for (var i = 0u; i < PER_A; i++) { // unroll
    xs[i] = blockA(tile, tile.row + placeA(t + i * THREADS).x * 4u, tile.start + placeA(t + i * THREADS).y * 4u);
  }
  for (var i = 0u; i < PER_B; i++) { // unroll
    ys[i] = blockB(tile, tile.col + placeB(t + i * THREADS).x * 4u, tile.start + placeB(t + i * THREADS).y * 4u);
  }
  for (var base = tile.start; base < tile.end; base += BK) {
    for (var i = 0u; i < PER_A; i++) { // unroll
      let at = placeA(t + i * THREADS);
      if (t + i * THREADS < MB * KB) {
        for (var e = 0u; e < 4u; e++) { // unroll
          sa[(at.y * 4u + e) * MB + (at.x ^ (at.y * SWIZZLE))] = xs[i][e];
        }
      }
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      let at = placeB(t + i * THREADS);
      if (t + i * THREADS < NB * KB) {
        for (var e = 0u; e < 4u; e++) { // unroll
          sb[(at.y * 4u + e) * NB + (at.x ^ (at.y * SWIZZLE))] = ys[i][e];
        }
      }
    }
    workgroupBarrier();
    if (DBIAS && tile.col == 0u && t < MB) {
      for (var k = 0u; k < BK; k++) { rowSums += sa[k * MB + (t ^ (k / 4u * SWIZZLE))]; }
    }
    // The next slice is on its way while this one is multiplied.
    for (var i = 0u; i < PER_A; i++) { // unroll
      xs[i] = blockA(tile, tile.row + placeA(t + i * THREADS).x * 4u, base + BK + placeA(t + i * THREADS).y * 4u);
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      ys[i] = blockB(tile, tile.col + placeB(t + i * THREADS).x * 4u, base + BK + placeB(t + i * THREADS).y * 4u);
    }
    for (var kb = 0u; kb < KB; kb++) {
      for (var e = 0u; e < 4u; e++) { // unroll
        var y: array<vec4<f32>, QN>;
        for (var j = 0u; j < QN; j++) { // unroll
          y[j] = sb[(kb * 4u + e) * NB + ((across + j * ACROSS) ^ (kb * SWIZZLE))];
        }
        for (var q = 0u; q < QM; q++) { // unroll
          let x = sa[(kb * 4u + e) * MB + ((down + q * DOWN) ^ (kb * SWIZZLE))];
          for (var i = 0u; i < 4u; i++) { // unroll
            for (var j = 0u; j < QN; j++) { // unroll
              acc[(q * 4u + i) * QN + j] += x[i] * y[j];
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  if (DBIAS && tile.col == 0u && t < MB && tile.row + 4u * t < p.m) { dbias[(tile.d + tile.row) / 4u + t] = rowSums; }
  // Sums move down: an index that is known only when the loop runs would put them all into memory.
  for (var i = 0u; i < TM; i++) {
    for (var j = 0u; j < QN; j++) { // unroll
      let row = tile.row + (i / 4u * DOWN + down) * 4u + i % 4u;
      let col = tile.col / 4u + across + j * ACROSS;
      let at = (tile.c + row * p.ldc) / 4u + col;
      if (row < p.m && col * 4u < p.n) { finish(at, acc[j], biasOf(col), auxOf(at)); }
    }
    for (var s = 0u; s < SUMS; s++) { // unroll
      acc[s] = acc[(s + QN) % SUMS];
    }
  }
}
