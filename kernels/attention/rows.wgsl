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

// The rows move down a turn, and the next vec4 comes in on top: loads that are written out take long to compile.
fn loadOwn(rows: ptr<function, Rows>, wg: vec3<u32>, block: u32, t: u32, which: u32, factor: f32) {
  for (var n = 0u; n < V; n++) {
    for (var r = 0u; r < R; r++) { // unroll
      moveDown(rows, r);
      rows[r][V - 1u] = wide(qkv[rowAt(wg, ownToken(block, r, t), which) + n]) * factor;
    }
  }
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
