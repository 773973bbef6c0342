// Which tile a product gets, and into how many parts its depth is split. Figures: gemm.md.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { cheapLoads } from '../lib/loads.ts';
import { type GemmProblem, inQuads } from './problem.ts';

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
const simtEdge = (p: Sizes): number => (tiles(p, 64, 64) < 128 ? 32 : 64);

export function simtTile(p: Sizes): { BM: number; BN: number } {
  const edge = simtEdge(p);
  return { BM: edge, BN: edge };
}

/** In whole vectors a thread may own 8 x 8; 128 x 128 tiles where they occupy a GPU and waste little at the edges. */
export function vecTile(
  p: GemmProblem & { LAYOUT: number },
): { BM: number; BN: number; QM: number; QN: number } | null {
  if (!inQuads(p)) return null;
  const large = tiles(p, 128, 128);
  if (large >= 256 && 4 * large <= 1.1 * tiles(p, 64, 64)) return { BM: 128, BN: 128, QM: 2, QN: 2 };
  const edge = simtEdge(p);
  return { BM: edge, BN: edge, QM: edge / 32, QN: 1 };
}

export interface MatrixTile {
  MM: number;
  MN: number;
  MK: number;
  SUBGROUP: number;
  SM: number;
  SN: number;
  RM: number;
  RN: number;
  BK: number;
  STAGES: number;
}

/** Rows and columns of C, subgroups along each, depth of a slice and how many of them are staged. */
const MATRIX_TILES = [
  [128, 128, 2, 4, 32, 2],
  [128, 128, 2, 2, 32, 2],
  [128, 256, 2, 4, 32, 1],
  [256, 128, 4, 2, 32, 1],
  [128, 256, 2, 4, 16, 2],
  [128, 128, 2, 4, 64, 1],
  [128, 64, 2, 2, 32, 2],
  [64, 64, 2, 2, 32, 2],
  [32, 32, 2, 2, 32, 2],
] as const;

/** Bytes of workgroup memory: staged slices as f16 with padded rows, whichever way they lie, or the f32 sums after them. */
function matrixBytes({ MM, MN, SUBGROUP, SM, SN, RM, RN, BK, STAGES }: MatrixTile): number {
  const [BM, BN] = [SM * RM * MM, SN * RN * MN];
  const slices = STAGES * (2 * (BM + BN) * BK + 16 * (Math.max(BM, BK) + Math.max(BN, BK)));
  return Math.max(slices, 16 * SM * SN * MM * ((RN * MN) / 4 + 2), 32 * SM * SN * SUBGROUP);
}

/** Every tile that the adapter holds, the largest product of matrices first. */
export function matrixTiles(adapter: AdapterTraits): MatrixTile[] {
  const found: MatrixTile[] = [];
  const largest = [...adapter.matrices].sort((x, y) => y.M * y.N * y.K - x.M * x.N * x.K);
  for (const { M: MM, N: MN, K: MK } of largest) {
    for (const [BM, BN, SM, SN, BK, STAGES] of MATRIX_TILES) {
      const SUBGROUP = adapter.subgroupMaxSize;
      const knobs = { MM, MN, MK, SUBGROUP, SM, SN, RM: BM / SM / MM, RN: BN / SN / MN, BK, STAGES };
      const threads = SM * SN * SUBGROUP;
      const whole = [knobs.RM, knobs.RN, BK / MK, MN / 4, (BM * BK) / 8 / threads, (BN * BK) / 8 / threads];
      if (
        whole.every(Number.isInteger) &&
        // Sums that a lane holds: more would leave the registers, and of 8 lanes building more takes many seconds.
        (BM * BN) / threads <= (SUBGROUP >= 32 ? 128 : 64) &&
        threads <= adapter.maxWorkgroupInvocations &&
        matrixBytes(knobs) <= adapter.maxWorkgroupStorageBytes
      )
        found.push(knobs);
    }
  }
  return found;
}

/** The first tile of which there are enough to occupy the adapter; else the smallest of the largest product. */
export function matrixTile(p: GemmProblem & { LAYOUT: number }, adapter: AdapterTraits): MatrixTile | null {
  if (!inQuads(p)) return null;
  const all = matrixTiles(adapter);
  const largest = all.filter((t) => t.MM === all[0].MM && t.MN === all[0].MN && t.MK === all[0].MK);
  const enough = (t: MatrixTile): boolean => tiles(p, t.SM * t.RM * t.MM, t.SN * t.RN * t.MN) * p.splits >= 128;
  return largest.find(enough) ?? largest.at(-1) ?? null;
}

/**
 * The tile with the least estimated time. A step of k costs a tile of TM rows and TN vectors TM (0.4 TN + 1.1) for
 * multiply-adds and for loading and handing round A, 5.8 TN for loading B (nanoseconds, 16 lanes; gemm.md). Where loads
 * are dear, 8 lanes take shorter slices and at most 64 sums a lane: beyond, both halves the speed and doubles the compilation.
 */
export function cpuTile(
  p: Sizes,
  adapter: Pick<AdapterTraits, 'subgroupMinSize' | 'features'>,
): { SG: number; TM: number; TN: number; KC: number } | null {
  const SG = adapter.subgroupMinSize;
  if (SG !== 4 && SG !== 8 && SG !== 16) return null;
  const small = SG === 8 && !cheapLoads(adapter);
  let best = { cost: Number.POSITIVE_INFINITY, TM: 0, TN: 0 };
  for (const TM of SG === 16 ? [32, 16] : [16]) {
    for (const TN of SG === 16 ? [6, 4, 3, 2, 1] : small ? [4, 3, 2] : [8, 6, 4, 2]) {
      const cost = tiles(p, TM, TN * SG) * (TM * (0.4 * TN + 1.1) + 5.8 * TN);
      if (cost < best.cost) best = { cost, TM, TN };
    }
  }
  return { SG, TM: best.TM, TN: best.TN, KC: small ? 4 : Math.min(SG, 8) };
}

/** Time of a tile of so many rows and a vector a lane, 8 lanes, relative: beyond 24 rows the sums leave the registers (gemm.md). */
const VECTOR_ROWS = [
  { TM: 24, cost: 0.41 },
  { TM: 16, cost: 0.29 },
  { TM: 8, cost: 0.19 },
] as const;

/** Whole vectors, where a load of 4 numbers costs hardly more than one of 1. */
export function cpuVecTile(
  p: GemmProblem & { LAYOUT: number },
  adapter: Pick<AdapterTraits, 'subgroupMinSize' | 'features'>,
): { SG: number; TM: number; TV: number } | null {
  const SG = adapter.subgroupMinSize;
  if (cheapLoads(adapter) || !inQuads(p)) return null;
  if (SG === 4) return { SG, TM: 16, TV: 4 };
  if (SG !== 8) return null;
  const time = ({ TM, cost }: (typeof VECTOR_ROWS)[number]): number => ceilDiv(p.m, TM) * cost;
  const { TM } = VECTOR_ROWS.reduce((best, rows) => (time(rows) < time(best) ? rows : best));
  return { SG, TM, TV: 1 };
}

/**
 * How many parts of k to sum apart: > 1 where C has too few tiles to occupy the adapter and k is long (weight gradients
 * of small models). The caller then runs gemm with `splits` into a scratch (splits, batch, m, n), EPILOGUE 0, and
 * gemm.reduce with the epilogue.
 */
export function splitFor(p: Sizes, adapter: Pick<AdapterTraits, 'profile' | 'subgroupMinSize' | 'features'>): number {
  const tile = adapter.profile === 'cpu' ? cpuTile(p, adapter) : null;
  const wanted = tile ? cpuSplits(p, tile.TM, tile.TN * tile.SG) : Math.floor(256 / tiles(p, simtEdge(p), simtEdge(p)));
  return Math.max(1, Math.min(wanted, Math.floor(p.k / 256)));
}

/** A single tile leaves a core idle; elsewhere splitting lost or made no difference (gemm.md). */
const cpuSplits = (p: Sizes, rows: number, cols: number): number => (tiles(p, rows, cols) === 1 ? 2 : 1);
