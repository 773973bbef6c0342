// Which tile a product gets, and into how many parts its depth is split. Figures: gemm.md.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch: number;
}

/** Tiles of rows x cols that cover C. */
export const tiles = ({ m, n, batch }: Omit<Sizes, 'k'>, rows: number, cols: number): number =>
  ceilDiv(m, rows) * ceilDiv(n, cols) * batch;

/** 64 x 64 tiles where they occupy a GPU, else 32 x 32. */
export function simtTile(p: Sizes): { BM: number; BN: number } {
  return tiles(p, 64, 64) < 128 ? { BM: 32, BN: 32 } : { BM: 64, BN: 64 };
}

/**
 * The tile with the least estimated time. A step of k costs a tile of TM rows and TN vectors TM (0.3 TN + 1.1) for
 * multiply-adds and for loading and handing round A, 5.8 TN for loading B (nanoseconds, 16 lanes).
 */
export function cpuTile(p: Sizes, SG: number): { SG: number; TM: number; TN: number; KC: number } | null {
  if (SG !== 4 && SG !== 8 && SG !== 16) return null;
  let best = { cost: Number.POSITIVE_INFINITY, TM: 0, TN: 0 };
  for (const TM of [32, 16]) {
    for (const TN of SG === 16 ? [4, 3, 2, 1] : [8, 6, 4, 2]) {
      const cost = tiles(p, TM, TN * SG) * (TM * (0.3 * TN + 1.1) + 5.8 * TN);
      if (cost < best.cost) best = { cost, TM, TN };
    }
  }
  return { SG, TM: best.TM, TN: best.TN, KC: Math.min(SG, 8) };
}

/**
 * How many parts of k to sum apart: > 1 where C has too few tiles to occupy the adapter and k is long (weight gradients
 * of small models). The caller then runs gemm with `splits` into a scratch (splits, batch, m, n), EPILOGUE 0, and
 * gemm.reduce with the epilogue.
 */
export function splitFor(p: Sizes, { profile, subgroupMinSize }: Pick<AdapterTraits, 'profile' | 'subgroupMinSize'>): number {
  const tile = profile === 'cpu' ? cpuTile(p, subgroupMinSize) : null;
  if (tile) {
    // Lavapipe deals workgroups out to its threads in equal shares beforehand: an odd one idles a core.
    const count = tiles(p, tile.TM, tile.TN * tile.SG);
    return count % 2 === 1 && count < 8 && p.k >= 512 ? 2 : 1;
  }
  const { BM, BN } = simtTile(p);
  const wanted = Math.floor(256 / tiles(p, BM, BN));
  return Math.max(1, Math.min(wanted, Math.floor(p.k / 256)));
}
