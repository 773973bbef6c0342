// Arithmetic on attention, for terminals and browsers: means over heads, rollout over blocks, and what of it lies on patches.

/** (heads, n) to (n): the mean over heads. */
export function headMean(maps: ArrayLike<number>, heads: number): Float64Array {
  const n = maps.length / heads;
  const mean = new Float64Array(n);
  for (let h = 0; h < heads; h++) for (let i = 0; i < n; i++) mean[i] += maps[h * n + i] / heads;
  return mean;
}

/**
 * Attention rollout (Abnar and Zuidema 2020, section 3): the row of `query` of (I + A_n) / 2 ... (I + A_1) / 2, where A_i (T * T), first block
 * first, is a block's attention in the mean over heads, and I stands for its residual connection. A row is enough, so no matrices are multiplied.
 * @returns (T), which sums to 1
 */
export function rolloutOf(blocks: readonly Float64Array[], query: number): Float64Array {
  const tokens = Math.round(Math.sqrt(blocks[0].length));
  let row = new Float64Array(tokens);
  row[query] = 1;
  for (const attention of [...blocks].reverse()) {
    const next = row.map((v) => 0.5 * v);
    for (let i = 0; i < tokens; i++) {
      if (row[i] === 0) continue;
      for (let j = 0; j < tokens; j++) next[j] += 0.5 * row[i] * attention[i * tokens + j];
    }
    row = next;
  }
  return row;
}

/** A row (1 + L) of attention on the patches (L), and what lies on the cls token. */
export const onPatches = (row: ArrayLike<number>): { patches: Float64Array; cls: number } => ({
  patches: Float64Array.from({ length: row.length - 1 }, (_, l) => row[l + 1]),
  cls: row[0],
});
