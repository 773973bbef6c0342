// Which tile a product gets, and into how many parts its depth is split. Figures: gemm.md.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { type GemmProblem, NT, TN } from './problem.ts';

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch: number;
}

/** Tiles of rows x cols that cover C. */
export const tiles = ({ m, n, batch }: Omit<Sizes, 'k'>, rows: number, cols: number): number =>
  ceilDiv(m, rows) * ceilDiv(n, cols) * batch;

const simtEdge = (p: Sizes): number => (tiles(p, 64, 64) < 128 ? 32 : 64);

/** 64 x 64 tiles where they occupy a GPU, else 32 x 32; vector loads where every run of 4 is whole and aligned. */
export function simtTile(p: GemmProblem & { LAYOUT: number }): { BM: number; BN: number; VEC: boolean } {
  const edge = simtEdge(p);
  const runs = [p.LAYOUT === TN ? p.m : p.k, p.LAYOUT === NT ? p.k : p.n];
  const offsets = [p.lda, p.strideA, p.innerA, p.offsetA, p.ldb, p.strideB, p.innerB, p.offsetB];
  return { BM: edge, BN: edge, VEC: [...runs, ...offsets].every((x) => x % 4 === 0) };
}

/**
 * The tile with the least estimated time. A step of k costs a tile of TM rows and TN vectors TM (0.4 TN + 1.1) for
 * multiply-adds and for loading and handing round A, 5.8 TN for loading B (nanoseconds, 16 lanes; gemm.md).
 */
export function cpuTile(p: Sizes, SG: number): { SG: number; TM: number; TN: number; KC: number } | null {
  if (SG !== 4 && SG !== 8 && SG !== 16) return null;
  let best = { cost: Number.POSITIVE_INFINITY, TM: 0, TN: 0 };
  for (const TM of SG === 16 ? [32, 16] : [16]) {
    for (const TN of SG === 16 ? [6, 4, 3, 2, 1] : [8, 6, 4, 2]) {
      const cost = tiles(p, TM, TN * SG) * (TM * (0.4 * TN + 1.1) + 5.8 * TN);
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
export function splitFor(
  p: Sizes,
  { profile, subgroupMinSize }: Pick<AdapterTraits, 'profile' | 'subgroupMinSize'>,
): number {
  const tile = profile === 'cpu' ? cpuTile(p, subgroupMinSize) : null;
  const wanted = tile ? cpuSplits(p, tile.TM, tile.TN * tile.SG) : Math.floor(256 / tiles(p, simtEdge(p), simtEdge(p)));
  return Math.max(1, Math.min(wanted, Math.floor(p.k / 256)));
}

/** A single tile leaves a core idle; elsewhere splitting lost or made no difference (gemm.md). */
const cpuSplits = (p: Sizes, rows: number, cols: number): number => (tiles(p, rows, cols) === 1 ? 2 : 1);
