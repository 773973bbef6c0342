// Rows in registers against rows in memory, for software adapters. A lane owns R rows; every vec4 of the other side is
// used for KB x R rows without barriers. It is loaded at a subgroup-uniform address, or (BROADCAST, where that is not
// cheaper than any other load) every lane holds its vec4s of the row and hands them round.
alias Rows = array<array<vec4<f32>, V>, R>;
alias Scores = array<array<f32, KB>, R>; // of the R rows of a lane with KB rows of the other side
alias Places = array<u32, KB>;
alias Held = array<array<vec4<f32>, HELD>, KB>; // this lane's part of KB rows of the other side, with BROADCAST

// Where row `token` of q (0), k (1) or v (2) starts in qkv, in vec4s.
fn rowAt(wg: vec3<u32>, token: u32, which: u32) -> u32 {
  return (((wg.z * p.tokens + token) * 3u + which) * p.heads + wg.y) * V;
}

// Where row `token` starts in o and dO.
fn oAt(wg: vec3<u32>, token: u32) -> u32 {
  return ((wg.z * p.tokens + token) * p.heads + wg.y) * V;
}

// Row r of this lane; past the end the last row stands in, and is not written.
fn ownToken(block: u32, r: u32, t: u32) -> u32 {
  return min((block * R + r) * SG + t, p.tokens - 1u);
}

fn hold(held: ptr<function, Held>, at: ptr<function, Places>, t: u32) {
  if (!BROADCAST) { return; }
  for (var j = 0u; j < KB; j++) { // unroll
    for (var h = 0u; h < HELD; h++) { // unroll
      held[j][h] = wide(qkv[at[j] + min(h * SG + t, V - 1u)]);
    }
  }
}

// How many vec4s a row has; with BROADCAST the driver must not know it, lest it writes out the loops over them.
fn vectors() -> u32 {
  return select(V, p.dim / 4u, BROADCAST);
}

fn loadOwn(rows: ptr<function, Rows>, wg: vec3<u32>, block: u32, t: u32, which: u32, factor: f32) {
  for (var n = 0u; n < vectors(); n++) {
    for (var r = 0u; r < R; r++) { // unroll
      put(rows, r, n, wide(qkv[rowAt(wg, ownToken(block, r, t), which) + n]) * factor);
    }
  }
}

// Vec4 n of row r, written or read in a loop over n from 0: loads that are written out take long to compile. With BROADCAST
// the index keeps the rows in memory, where LLVM 15 does not have to find registers for them: backward was built in 0.9 s
// instead of 6 at 64 dimensions. Else they stay in registers and move down a turn, the next vec4 coming in on top.
fn put(rows: ptr<function, Rows>, r: u32, n: u32, value: vec4<f32>) {
  if (BROADCAST) {
    rows[r][n] = value;
  } else {
    moveDown(rows, r);
    rows[r][V - 1u] = value;
  }
}

fn take(rows: ptr<function, Rows>, r: u32, n: u32) -> vec4<f32> {
  if (BROADCAST) { return rows[r][n]; }
  let lowest = rows[r][0];
  moveDown(rows, r);
  return lowest;
}

fn moveDown(rows: ptr<function, Rows>, r: u32) {
  for (var i = 0u; i < V; i++) { // unroll
    rows[r][i] = rows[r][min(i + 1u, V - 1u)];
  }
}

// The dot products of the lane's rows with KB rows of qkv.
fn dots(scores: ptr<function, Scores>, rows: ptr<function, Rows>, at: ptr<function, Places>, held: ptr<function, Held>) {
  for (var i = 0u; i < V; i++) { // unroll
    for (var j = 0u; j < KB; j++) { // unroll
      var other: vec4<f32>;
      if (BROADCAST) { other = subgroupBroadcast(held[j][i / SG], i % SG); } else { other = wide(qkv[at[j] + i]); }
      for (var r = 0u; r < R; r++) { // unroll
        scores[r][j] += dot(rows[r][i], other);
      }
    }
  }
}

// Adds KB rows of qkv, weighted by the lane's scores.
fn addWeighted(rows: ptr<function, Rows>, weights: ptr<function, Scores>, at: ptr<function, Places>, held: ptr<function, Held>) {
  for (var i = 0u; i < V; i++) { // unroll
    for (var j = 0u; j < KB; j++) { // unroll
      var other: vec4<f32>;
      if (BROADCAST) { other = subgroupBroadcast(held[j][i / SG], i % SG); } else { other = wide(qkv[at[j] + i]); }
      for (var r = 0u; r < R; r++) { // unroll
        rows[r][i] += weights[r][j] * other;
      }
    }
  }
}
