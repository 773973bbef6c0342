// C = epilogue(op(A) op(B)) where everything comes in whole vectors of 4: register tiles of 4 QM x 4 QN a thread over
// BK-deep slices that are staged in workgroup memory as vectors along the tile's edge (blocks.wgsl): straight where memory
// runs that way, else in blocks of 4 x 4 that are transposed in registers.
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const BM = 64u; // knob: rows of C a workgroup, a multiple of 32
const BN = 64u; // knob: columns of C a workgroup, a multiple of 32
const BK = 16u; // knob: depth of a slice: 8, 16 or 32
const QM = 1u; // knob: vectors of rows a thread, BM / QM apart
const QN = 1u; // knob: vectors of columns a thread, BN / QN apart
const STEP = 1u; // knob: fours of k that are written out, of BK / 4
const WHOLE = false; // knob: every slice is whole: BK divides k and 16
const_assert BK / 4u % STEP == 0u;
const MB = BM / 4u;
const NB = BN / 4u;
const KB = BK / 4u;
const TM = QM * 4u;
const SUMS = TM * QN;
const DOWN = MB / QM;
const ACROSS = NB / QN;
const THREADS = DOWN * ACROSS;
const ALONG_A = LAYOUT / 2u; // 1 where memory runs along the tile's edge, 0 where it runs along k
const ALONG_B = (LAYOUT + 1u) % 2u;
const STRAIGHT_A = ALONG_A * (MB * BK / THREADS); // vectors that a thread stages
const STRAIGHT_B = ALONG_B * (NB * BK / THREADS);
const TURNED_A = (1u - ALONG_A) * ((MB * KB + THREADS - 1u) / THREADS); // or blocks, at most
const TURNED_B = (1u - ALONG_B) * ((NB * KB + THREADS - 1u) / THREADS);
const PER_A = STRAIGHT_A + 4u * TURNED_A;
const PER_B = STRAIGHT_B + 4u * TURNED_B;
const SWIZZLE = 32u / BK; // xor with a block's depth: the stores of 8 neighbours meet 8 groups of 4 banks
const TURN_A = (1u - ALONG_A) * SWIZZLE;
const TURN_B = (1u - ALONG_B) * SWIZZLE;
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
  var xs: array<vec4<f32>, PER_A>; // registers
  var ys: array<vec4<f32>, PER_B>; // registers
  for (var i = 0u; i < PER_A; i++) { // unroll
    xs[i] = fetchA(tile, sliceAt(tile, tile.start), t, i);
  }
  for (var i = 0u; i < PER_B; i++) { // unroll
    ys[i] = fetchB(tile, sliceAt(tile, tile.start), t, i);
  }
  for (var base = tile.start; base < tile.end; base += BK) {
    for (var i = 0u; i < STRAIGHT_A; i++) { // unroll
      sa[t + i * THREADS] = xs[i];
    }
    for (var i = 0u; i < TURNED_A; i++) { // unroll
      let at = placeOf(t + i * THREADS);
      let block = transpose(mat4x4<f32>(xs[i * 4u], xs[i * 4u + 1u], xs[i * 4u + 2u], xs[i * 4u + 3u]));
      if (t + i * THREADS < MB * KB) {
        for (var e = 0u; e < 4u; e++) { // unroll
          sa[(at.y * 4u + e) * MB + (at.x ^ (at.y * SWIZZLE))] = block[e];
        }
      }
    }
    for (var i = 0u; i < STRAIGHT_B; i++) { // unroll
      sb[t + i * THREADS] = ys[i];
    }
    for (var i = 0u; i < TURNED_B; i++) { // unroll
      let at = placeOf(t + i * THREADS);
      let block = transpose(mat4x4<f32>(ys[i * 4u], ys[i * 4u + 1u], ys[i * 4u + 2u], ys[i * 4u + 3u]));
      if (t + i * THREADS < NB * KB) {
        for (var e = 0u; e < 4u; e++) { // unroll
          sb[(at.y * 4u + e) * NB + (at.x ^ (at.y * SWIZZLE))] = block[e];
        }
      }
    }
    workgroupBarrier();
    if (DBIAS && tile.col == 0u && t < MB) {
      for (var k = 0u; k < BK; k++) { rowSums += sa[k * MB + t]; }
    }
    // The next slice is on its way while this one is multiplied.
    let next = sliceAt(tile, base + BK);
    for (var i = 0u; i < PER_A; i++) { // unroll
      xs[i] = fetchA(tile, next, t, i);
    }
    for (var i = 0u; i < PER_B; i++) { // unroll
      ys[i] = fetchB(tile, next, t, i);
    }
    for (var some = 0u; some < KB / STEP; some++) {
      for (var s = 0u; s < STEP; s++) { // unroll
        // Counted by one, and remainders: so Dawn can prove the indices below, and they differ by constants.
        let kb = some * STEP + s;
        let fromA = kb * 4u * MB + (down ^ (kb * TURN_A)) % DOWN;
        let fromB = kb * 4u * NB + (across ^ (kb * TURN_B)) % ACROSS;
        for (var e = 0u; e < 4u; e++) { // unroll
          var y: array<vec4<f32>, QN>; // registers
          for (var j = 0u; j < QN; j++) { // unroll
            y[j] = sb[fromB + e * NB + j * ACROSS];
          }
          for (var q = 0u; q < QM; q++) { // unroll
            let x = sa[fromA + e * MB + q * DOWN];
            for (var i = 0u; i < 4u; i++) { // unroll
              for (var j = 0u; j < QN; j++) { // unroll
                acc[(q * 4u + i) * QN + j] += x[i] * y[j];
              }
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
