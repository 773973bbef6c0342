// Rows in registers against rows in memory, for software adapters. A lane owns R rows; all lanes read the same vec4 of
// the other side at a time, which is one scalar load a component there, and use it for KB x R rows without barriers.
alias Rows = array<array<vec4<f32>, V>, R>;
alias Scores = array<array<f32, KB>, R>; // of the R rows of a lane with KB rows of the other side
alias Places = array<u32, KB>;

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

fn loadOwn(rows: ptr<function, Rows>, wg: vec3<u32>, block: u32, t: u32, which: u32, factor: f32) {
  for (var r = 0u; r < R; r++) { // unroll
    let at = rowAt(wg, ownToken(block, r, t), which);
    for (var i = 0u; i < V; i++) { // unroll
      rows[r][i] = qkv[at + i] * factor;
    }
  }
}

// The dot products of the lane's rows with KB rows of qkv.
fn dots(scores: ptr<function, Scores>, rows: ptr<function, Rows>, at: ptr<function, Places>) {
  for (var i = 0u; i < V; i++) { // unroll
    for (var j = 0u; j < KB; j++) { // unroll
      let other = qkv[at[j] + i];
      for (var r = 0u; r < R; r++) { // unroll
        scores[r][j] += dot(rows[r][i], other);
      }
    }
  }
}

// Adds KB rows of qkv, weighted by the lane's scores.
fn addWeighted(rows: ptr<function, Rows>, weights: ptr<function, Scores>, at: ptr<function, Places>) {
  for (var i = 0u; i < V; i++) { // unroll
    for (var j = 0u; j < KB; j++) { // unroll
      let other = qkv[at[j] + i];
      for (var r = 0u; r < R; r++) { // unroll
        rows[r][i] += weights[r][j] * other;
      }
    }
  }
}
