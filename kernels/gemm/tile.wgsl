// Which tile of which matrix a workgroup computes, and what happens to a finished sum; shared by the gemm variants.
struct Tile {
  row: u32, // first row and column in C
  col: u32,
  a: u32, // offsets of this batch entry's matrices
  b: u32,
  c: u32,
  d: u32, // and of this split's dbias
  start: u32, // the part of k that this split sums
  end: u32,
  idle: bool, // beyond the last tile, where the grid was folded
}

/** Work is ordered (split, batch, tile row, tile column), columns fastest. */
fn tileOf(index: u32, rows: u32, cols: u32) -> Tile {
  let across = (p.n + cols - 1u) / cols;
  let down = (p.m + rows - 1u) / rows;
  let z = index / (across * down);
  let xy = index - z * across * down;
  let split = z / p.batch;
  let entry = z - split * p.batch;
  let outer = entry / p.inner;
  let inner = entry - outer * p.inner;
  // Splits begin at multiples of 16, so that vector loads stay aligned; the last ones may be short or empty.
  let chunk = ((p.k + p.splits - 1u) / p.splits + 15u) / 16u * 16u;
  var t: Tile;
  t.row = xy / across * rows;
  t.col = xy % across * cols;
  t.a = p.offsetA + outer * p.strideA + inner * p.innerA;
  t.b = p.offsetB + outer * p.strideB + inner * p.innerB;
  t.c = p.offsetC + outer * p.strideC + inner * p.innerC + split * p.splitC;
  t.d = split * p.m;
  t.start = min(split * chunk, p.k);
  t.end = min(t.start + chunk, p.k);
  t.idle = split >= p.splits;
  return t;
}
