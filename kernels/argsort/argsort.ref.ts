// Random masking by sorting noise, as in facebookresearch/mae's random_masking: the oracle of argsort.mask.

interface Mask {
  noise: Float64Array;
  ids_shuffle: Uint32Array;
  ids_restore: Uint32Array;
  ids_keep: Uint32Array;
  mask: Float64Array;
}

export function mask(
  { noise, ids_shuffle, ids_restore, ids_keep, mask }: Mask,
  { batch, patches, keep }: { batch: number; patches: number; keep: number },
): void {
  for (let b = 0; b < batch; b++) {
    const row = noise.subarray(b * patches, (b + 1) * patches);
    const order = Array.from(row, (_, i) => i).sort((i, j) => row[i] - row[j] || i - j);
    for (const [rank, i] of order.entries()) {
      ids_shuffle[b * patches + rank] = i;
      ids_restore[b * patches + i] = rank;
      mask[b * patches + i] = rank < keep ? 0 : 1;
      if (rank < keep) ids_keep[b * keep + rank] = i;
    }
  }
}

/** (1 - guidance) noise + guidance rank / patches. */
export function guide(
  { noise, rank, guided }: { noise: Float64Array; rank: Uint32Array; guided: Float64Array },
  { patches, guidance }: { patches: number; guidance: number },
): void {
  for (let i = 0; i < guided.length; i++) guided[i] = (1 - guidance) * noise[i] + (guidance * rank[i]) / patches;
}
