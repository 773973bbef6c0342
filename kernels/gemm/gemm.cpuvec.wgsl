// C = epilogue(op(A) op(B)) on software adapters whose loads are dear, where everything comes in whole vectors of 4: one subgroup a
// workgroup, no barriers and no workgroup memory. A load costs a loop over the lanes there, whatever it fetches, so each fetches 4 numbers.
// A lane owns TV vectors of neighbouring columns of TM rows in registers. A slice is 4 deep: TV vectors of B a step, and A as a vector along
// memory for as many rows or steps as there are lanes, handed round by subgroupBroadcast.
enable subgroups;
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const SG = 8u; // knob: lanes of a subgroup, which is the workgroup: 4, 8 or 16
const TM = 16u; // knob: rows a lane: a multiple of 4, from SG to 4 SG
const TV = 1u; // knob: vectors of columns a lane, SG apart
const QUADS = TM / 4u; // vectors along the rows of A, TN
const STEPS = SG / QUADS; // of k in one load of A, TN
const LOADS = 4u / STEPS; // of A a slice, TN
const GROUPS = TM / SG; // loads of A a slice, NN and NT: a lane has a row
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

fn wideA(q: A4) -> vec4<f32> { return vec4<f32>(q); } // stored: A16
fn wideB(q: B4) -> vec4<f32> { return vec4<f32>(q); } // stored: B16
fn wideC(q: C4) -> vec4<f32> { return vec4<f32>(q); } // stored: C16
fn narrowC(v: vec4<f32>) -> C4 { return C4(v); } // stored: C16

@compute @workgroup_size(SG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, TM, TV * SG * 4u);
  if (tile.idle) { return; }
  // Rows and columns beyond the matrix repeat the last ones and are not stored; depths beyond it (TN) meet x = 0.
  let last = tile.end - 1u;
  var cols: array<u32, TV>;
  for (var j = 0u; j < TV; j++) { // unroll
    cols[j] = min(tile.col + (j * SG + lane) * 4u, p.n - 4u);
  }
  var acc: array<vec4<f32>, TM * TV>;
  var rowSums = vec4<f32>();
  for (var k0 = tile.start; k0 < tile.end; k0 += 4u) {
    var y: array<vec4<f32>, 4 * TV>;
    for (var j = 0u; j < TV; j++) { // unroll
      if (LAYOUT == 1u) {
        let at = tile.b + cols[j] * p.ldb + k0;
        let y0 = wideB(b[at / 4u]);
        let y1 = wideB(b[(at + p.ldb) / 4u]);
        let y2 = wideB(b[(at + 2u * p.ldb) / 4u]);
        let y3 = wideB(b[(at + 3u * p.ldb) / 4u]);
        for (var e = 0u; e < 4u; e++) { // unroll
          y[e * TV + j] = vec4(y0[e], y1[e], y2[e], y3[e]);
        }
      } else {
        for (var e = 0u; e < 4u; e++) { // unroll
          y[e * TV + j] = wideB(b[(tile.b + min(k0 + e, last) * p.ldb + cols[j]) / 4u]);
        }
      }
    }
    if (LAYOUT == 2u) {
      let row = tile.a + min(tile.row + lane % QUADS * 4u, p.m - 4u);
      var x: array<vec4<f32>, LOADS>;
      for (var l = 0u; l < LOADS; l++) { // unroll
        let depth = k0 + l * STEPS + lane / QUADS;
        x[l] = select(vec4<f32>(), wideA(a[(row + min(depth, last) * p.lda) / 4u]), depth < tile.end);
        if (DBIAS) { rowSums += x[l]; }
      }
      for (var e = 0u; e < 4u; e++) { // unroll
        for (var q = 0u; q < QUADS; q++) { // unroll
          let v = subgroupBroadcast(x[e / STEPS], e % STEPS * QUADS + q);
          for (var i = 0u; i < 4u; i++) { // unroll
            for (var j = 0u; j < TV; j++) { // unroll
              acc[(q * 4u + i) * TV + j] += v[i] * y[e * TV + j];
            }
          }
        }
      }
    } else {
      for (var g = 0u; g < GROUPS; g++) { // unroll
        let row = tile.a + min(tile.row + g * SG + lane, p.m - 1u) * p.lda;
        let x = wideA(a[(row + k0) / 4u]);
        for (var i = 0u; i < SG; i++) { // unroll
          let v = subgroupBroadcast(x, i);
          for (var e = 0u; e < 4u; e++) { // unroll
            for (var j = 0u; j < TV; j++) { // unroll
              acc[(g * SG + i) * TV + j] += v[e] * y[e * TV + j];
            }
          }
        }
      }
    }
  }
  if (DBIAS && tile.col == 0u) {
    // A lane has the sums of its rows over every STEPS-th depth.
    var sum = rowSums;
    for (var s = 1u; s < STEPS; s++) { // unroll
      sum += subgroupShuffle(rowSums, (lane + s * QUADS) % SG);
    }
    let row = tile.row + lane * 4u;
    if (lane < QUADS && row < p.m) { dbias[(tile.d + row) / 4u] = sum; }
  }
  // Stores are the dear part of the compilation, so few are written out: the sums move down instead.
  for (var row = tile.row; row < min(tile.row + TM, p.m); row += 4u) {
    var aux: array<vec4<f32>, 4 * TV>;
    for (var i = 0u; i < 4u; i++) { // unroll
      for (var j = 0u; j < TV; j++) { // unroll
        aux[i * TV + j] = auxOf((tile.c + min(row + i, p.m - 1u) * p.ldc + cols[j]) / 4u);
      }
    }
    for (var j = 0u; j < TV; j++) { // unroll
      let col = tile.col + (j * SG + lane) * 4u;
      let offset = biasOf(cols[j] / 4u);
      for (var i = 0u; i < 4u; i++) { // unroll
        if (row + i < p.m && col < p.n) {
          finish((tile.c + (row + i) * p.ldc + col) / 4u, acc[i * TV + j], offset, aux[i * TV + j]);
        }
      }
    }
    for (var i = 0u; i < TM; i++) { // unroll
      for (var j = 0u; j < TV; j++) { // unroll
        acc[i * TV + j] = acc[min(i + 4u, TM - 1u) * TV + j];
      }
    }
  }
}
