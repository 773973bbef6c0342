// C = epilogue(op(A) op(B)) on software adapters: one subgroup a workgroup, no barriers and no workgroup memory.
// A lane owns TN columns of TM rows in registers. For each slice of KC, B comes as TN vectors a row of the slice, A as
// one load for SG of its elements, handed round by subgroupBroadcast: a load costs the same whatever it fetches.
enable subgroups;
const LAYOUT = 0u; // knob: 0 NN, 1 NT (B is (n, k)), 2 TN (A is (k, m))
const EPILOGUE = 0u; // knob: 0 none, 1 bias, 2 bias + GELU, 3 bias + residual, 4 times r
const DBIAS = false; // knob: TN, one entry: sums of op(A) over k too, the bias gradient where A is dy
const SG = 16u; // knob: lanes of a subgroup, which is the workgroup
const TM = 32u; // knob: rows a lane, a multiple of SG
const TN = 4u; // knob: columns a lane, SG apart
const KC = 8u; // knob: depth of a slice, divides SG
const QUAD = 4u; // rows in a vec4 of sums: fewer, longer statements halve the time that a pipeline takes to build
const QUADS = TM / QUAD;
const BLOCKS = TM / SG; // of rows, a load each with TN
const BLOCK = SG / QUAD;
const ROWS = SG / KC; // rows of A in one load without TN
const LOADS = QUAD / ROWS;
alias A1 = f32; // stored: A16
alias B1 = f32; // stored: B16
alias C1 = f32; // stored: C16
struct Params { m: u32, n: u32, k: u32, batch: u32, lda: u32, ldb: u32, ldc: u32, strideA: u32, strideB: u32, strideC: u32, inner: u32, innerA: u32, innerB: u32, innerC: u32, offsetA: u32, offsetB: u32, offsetC: u32, splits: u32, splitC: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<A1>; // (batch, m, k) or, TN, (batch, k, m)
@group(0) @binding(2) var<storage, read> b: array<B1>; // (batch, k, n) or, NT, (batch, n, k)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // (n) with EPILOGUE 1, 2, 3
@group(0) @binding(4) var<storage, read> r: array<C1>; // as c: residual (3) or factor (4)
@group(0) @binding(5) var<storage, read_write> c: array<C1>; // (batch, m, n); (splits, batch, m, n) with splits > 1
@group(0) @binding(6) var<storage, read_write> u: array<C1>; // as c: slope of the GELU with EPILOGUE 2
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>; // (splits, m) with DBIAS

fn atA(i: u32) -> f32 { return f32(a[i]); } // stored: A16
fn atB(i: u32) -> f32 { return f32(b[i]); } // stored: B16

@compute @workgroup_size(SG, 1, 1)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = tileOf(wg.x + wg.y * groups.x, TM, TN * SG);
  if (tile.idle) { return; }
  // Rows, columns and depths beyond the matrix repeat the last one: rows and columns are not stored, depths meet x = 0.
  let last = tile.end - 1u;
  let stepB = select(p.ldb, 1u, LAYOUT == 1u);
  var cols: array<u32, TN>;
  for (var j = 0u; j < TN; j++) { // unroll
    cols[j] = tile.b + min(tile.col + j * SG + lane, p.n - 1u) * select(1u, p.ldb, LAYOUT == 1u);
  }
  var acc: array<vec4<f32>, QUADS * TN>; // 4 rows each
  var rowSums: array<f32, BLOCKS>;
  for (var k0 = tile.start; k0 < tile.end; k0 += KC) {
    var y: array<f32, KC * TN>;
    for (var j = 0u; j < TN; j++) { // unroll
      for (var kk = 0u; kk < KC; kk++) { // unroll
        y[kk * TN + j] = atB(cols[j] + min(k0 + kk, last) * stepB);
      }
    }
    if (LAYOUT == 2u) {
      for (var g = 0u; g < BLOCKS; g++) { // unroll
        let row = tile.a + min(tile.row + g * SG + lane, p.m - 1u);
        var x: array<f32, KC>;
        for (var kk = 0u; kk < KC; kk++) { // unroll
          x[kk] = select(0.0, atA(row + min(k0 + kk, last) * p.lda), k0 + kk < tile.end);
          if (DBIAS) { rowSums[g] += x[kk]; }
        }
        for (var q = 0u; q < BLOCK; q++) { // unroll
          for (var kk = 0u; kk < KC; kk++) { // unroll
            let v = vec4(subgroupBroadcast(x[kk], QUAD * q), subgroupBroadcast(x[kk], QUAD * q + 1u),
              subgroupBroadcast(x[kk], QUAD * q + 2u), subgroupBroadcast(x[kk], QUAD * q + 3u));
            for (var j = 0u; j < TN; j++) { // unroll
              acc[(g * BLOCK + q) * TN + j] += v * y[kk * TN + j];
            }
          }
        }
      }
    } else {
      let depth = k0 + lane % KC;
      for (var q = 0u; q < QUADS; q++) { // unroll
        var x: array<f32, LOADS>;
        for (var l = 0u; l < LOADS; l++) { // unroll
          let row = tile.a + min(tile.row + QUAD * q + l * ROWS + lane / KC, p.m - 1u) * p.lda;
          x[l] = select(0.0, atA(row + min(depth, last)), depth < tile.end);
        }
        for (var kk = 0u; kk < KC; kk++) { // unroll
          let v = vec4(subgroupBroadcast(x[0u], kk), subgroupBroadcast(x[1u / ROWS], 1u % ROWS * KC + kk),
            subgroupBroadcast(x[2u / ROWS], 2u % ROWS * KC + kk), subgroupBroadcast(x[3u / ROWS], 3u % ROWS * KC + kk));
          for (var j = 0u; j < TN; j++) { // unroll
            acc[q * TN + j] += v * y[kk * TN + j];
          }
        }
      }
    }
  }
  if (DBIAS && tile.col == 0u) {
    for (var g = 0u; g < BLOCKS; g++) { // unroll
      let row = tile.row + g * SG + lane;
      if (row < p.m) { dbias[tile.d + row] = rowSums[g]; }
    }
  }
  // Stores are the dear part of the compilation, so few are written out: the sums move down instead.
  var offset: array<f32, TN>;
  for (var j = 0u; j < TN; j++) { // unroll
    offset[j] = biasOf(min(tile.col + j * SG + lane, p.n - 1u));
  }
  for (var row = tile.row; row < min(tile.row + TM, p.m); row += QUAD) {
    var aux: array<f32, QUAD * TN>;
    for (var i = 0u; i < QUAD; i++) { // unroll
      for (var j = 0u; j < TN; j++) { // unroll
        aux[i * TN + j] = auxOf(tile.c + min(row + i, p.m - 1u) * p.ldc + min(tile.col + j * SG + lane, p.n - 1u));
      }
    }
    for (var i = 0u; i < QUAD; i++) { // unroll
      if (row + i < p.m) {
        for (var j = 0u; j < TN; j++) { // unroll
          let col = tile.col + j * SG + lane;
          if (col < p.n) { finish(tile.c + (row + i) * p.ldc + col, acc[j][i], offset[j], aux[i * TN + j]); }
        }
      }
    }
    for (var q = 0u; q < QUADS; q++) { // unroll
      for (var j = 0u; j < TN; j++) { // unroll
        acc[q * TN + j] = acc[min(q + 1u, QUADS - 1u) * TN + j];
      }
    }
  }
}
