// Who sums which matrices of a tile's dq in attention.backward.whole, and their way out.
const DQS = TILE / MM * ACROSS; // of a tile
const DQROW = MN / 4u + 1u; // from row to row of one, which is f32

// The first of the matrices of dq that a strip's subgroup sums in a turn.
fn onDuty(strip: u32, turn: u32) -> u32 { return (strip + STRIPS - turn * DQS % STRIPS) % STRIPS; }

// Those of this thread's subgroup and a past turn.
fn writeDq(wg: vec3<u32>, t: u32, turn: u32) {
  for (var o = onDuty(t / LANES, turn); o < DQS; o += STRIPS) {
    for (var e = t % LANES; e < MM * MN / EACH; e += LANES) {
      let row = e / (MN / EACH);
      let across = e % (MN / EACH) * EACH;
      writeEach(wg, turn * TILE + o / ACROSS * MM + row, 0u, o % ACROSS * MN + across, DQ + (o * MM + row) * DQROW + across / 4u, p.scale);
    }
  }
}
