// Blocks of 4 x 4 of A and B, fetched in vectors and transposed in registers where memory runs along k.
// The block of A at (row, depth): vectors along the rows. Rows beyond the matrix repeat others, depths beyond are 0; a load
// behind an `if` is waited for alone (gemm.md).
fn blockA(tile: Tile, row: u32, depth: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>();
  if (LAYOUT == 2u) {
    let at = tile.a + min(row, p.m - 4u);
    for (var e = 0u; e < 4u; e++) { // unroll
      let v = wideA(a[(at + min(depth + e, tile.end - 1u) * p.lda) / 4u]);
      x[e] = select(vec4<f32>(), v, depth + e < tile.end);
    }
    return x;
  }
  for (var e = 0u; e < 4u; e++) { // unroll
    let v = wideA(a[(tile.a + min(row + e, p.m - 1u) * p.lda + min(depth, tile.end - 4u)) / 4u]);
    x[e] = select(vec4<f32>(), v, depth < tile.end);
  }
  return transpose(x);
}

// The block of B at (depth, col): vectors along the columns.
fn blockB(tile: Tile, col: u32, depth: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>();
  if (LAYOUT == 1u) {
    for (var e = 0u; e < 4u; e++) { // unroll
      let v = wideB(b[(tile.b + min(col + e, p.n - 1u) * p.ldb + min(depth, tile.end - 4u)) / 4u]);
      x[e] = select(vec4<f32>(), v, depth < tile.end);
    }
    return transpose(x);
  }
  let at = tile.b + min(col, p.n - 4u);
  for (var e = 0u; e < 4u; e++) { // unroll
    let v = wideB(b[(at + min(depth + e, tile.end - 1u) * p.ldb) / 4u]);
    x[e] = select(vec4<f32>(), v, depth + e < tile.end);
  }
  return x;
}

// Where block i of a slice lies: neighbouring threads take blocks that are neighbours in memory.
fn placeA(i: u32) -> vec2<u32> { return vec2(select(i / KB, i % MB, LAYOUT == 2u), select(i % KB, i / MB, LAYOUT == 2u)); }
fn placeB(i: u32) -> vec2<u32> { return vec2(select(i % NB, i / KB, LAYOUT == 1u), select(i / NB, i % KB, LAYOUT == 1u)); }
