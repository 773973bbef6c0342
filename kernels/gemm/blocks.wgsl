// What a thread stages of a slice of A and B, in vectors of 4 that lie side by side in memory. Where memory runs along k, four
// of them make a block of 4 x 4. Rows beyond the matrix repeat others, depths beyond are 0; a load behind an `if` is waited for
// alone (gemm.md).

// Where the slice is fetched that would begin at `depth`: the last one again where none follows.
fn sliceAt(tile: Tile, depth: u32) -> u32 { return select(depth, min(depth, tile.end - BK), WHOLE); }

// Block i of a slice: the row or column of the tile and the depth at which it begins, in fours; neighbouring threads take
// blocks that are neighbours in memory.
fn placeOf(i: u32) -> vec2<u32> { return vec2(i / KB, i % KB); }

// Vector i of thread t, of the slice at `depth`.
fn fetchA(tile: Tile, depth: u32, t: u32, i: u32) -> vec4<f32> {
  if (ALONG_A == 1u) {
    let at = t + i * THREADS;
    let row = min(tile.row + at % MB * 4u, p.m - 4u);
    if (WHOLE) { return wideA(a[(tile.a + row + at / MB * p.lda) / 4u + depth * (p.lda / 4u)]); }
    let k = depth + at / MB;
    let v = wideA(a[(tile.a + row + min(k, tile.end - 1u) * p.lda) / 4u]);
    return select(vec4<f32>(), v, k < tile.end);
  }
  // Threads beyond the last block fetch what others do.
  let at = placeOf((t + i / 4u * THREADS) % (MB * KB));
  let row = min(tile.row + at.x * 4u + i % 4u, p.m - 1u);
  if (WHOLE) { return wideA(a[(tile.a + row * p.lda) / 4u + at.y + depth / 4u]); }
  let k = depth + at.y * 4u;
  let v = wideA(a[(tile.a + row * p.lda + min(k, tile.end - 4u)) / 4u]);
  return select(vec4<f32>(), v, k < tile.end);
}

// As fetchA, with columns of C for rows.
fn fetchB(tile: Tile, depth: u32, t: u32, i: u32) -> vec4<f32> {
  if (ALONG_B == 1u) {
    let at = t + i * THREADS;
    let col = min(tile.col + at % NB * 4u, p.n - 4u);
    if (WHOLE) { return wideB(b[(tile.b + col + at / NB * p.ldb) / 4u + depth * (p.ldb / 4u)]); }
    let k = depth + at / NB;
    let v = wideB(b[(tile.b + col + min(k, tile.end - 1u) * p.ldb) / 4u]);
    return select(vec4<f32>(), v, k < tile.end);
  }
  let at = placeOf((t + i / 4u * THREADS) % (NB * KB));
  let col = min(tile.col + at.x * 4u + i % 4u, p.n - 1u);
  if (WHOLE) { return wideB(b[(tile.b + col * p.ldb) / 4u + at.y + depth / 4u]); }
  let k = depth + at.y * 4u;
  let v = wideB(b[(tile.b + col * p.ldb + min(k, tile.end - 4u)) / 4u]);
  return select(vec4<f32>(), v, k < tile.end);
}
