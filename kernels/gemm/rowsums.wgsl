// The bias gradient beside a weight gradient: sums of op(A)'s rows, eight at a time, out of the staged slices. The tiles
// beside each other have the same rows; each sums every `across`th eight of them, so that none takes longer than the others.
struct Share {
  eight: u32, // of a thread, and the first of its depths in a slice
  down: u32,
  step: u32, // to its next depth: so many threads share an eight
  count: u32, // eights of this tile
  across: u32, // tiles beside each other
}

fn shareOf(tile: Tile, t: u32) -> Share {
  var s: Share;
  s.across = (p.n + BN - 1u) / BN;
  let first = tile.col / BN;
  s.count = (max(LONG_A, first) - first + s.across - 1u) / s.across;
  let each = max(s.count, 1u);
  s.step = THREADS / each;
  s.eight = first + t % each * s.across;
  s.down = select(BK, t / each, t < s.step * s.count);
  return s;
}

// Every thread holds the sums of its eight over some of the depths.
fn sumRows(tile: Tile, s: Share, t: u32, low: vec4<f32>, high: vec4<f32>) {
  pool[2u * t] = bitcast<vec4<u32>>(low);
  pool[2u * t + 1u] = bitcast<vec4<u32>>(high);
  workgroupBarrier();
  for (var i = t; i < 8u * s.count; i += THREADS) {
    var sum = 0.0;
    for (var giver = i / 8u; giver < s.step * s.count; giver += s.count) {
      sum += bitcast<f32>(pool[2u * giver + i % 8u / 4u][i % 4u]);
    }
    let row = tile.row + (tile.col / BN + i / 8u * s.across) * 8u + i % 8u;
    if (row < p.m) { dbias[tile.d + row] = sum; }
  }
  workgroupBarrier();
}
