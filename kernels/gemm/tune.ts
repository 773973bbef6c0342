// Which tile a product gets, and into how many parts its depth is split. Figures: gemm.md.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { largestFirst, workgroupFits } from '../lib/adapter.ts';
import { cheapLoads } from '../lib/loads.ts';
import { type GemmProblem, inQuads, NN, TN } from './problem.ts';

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch: number;
}

type LaidOut = Sizes & { LAYOUT: number };

/** Tiles of rows x cols that cover C. */
export const tiles = ({ m, n, batch }: Omit<Sizes, 'k'>, rows: number, cols: number): number =>
  ceilDiv(m, rows) * ceilDiv(n, cols) * batch;

/** 64 x 64 tiles where they occupy a GPU, else 32 x 32. */
const simtEdge = (p: Sizes): number => (tiles(p, 64, 64) < 128 ? 32 : 64);

export function simtTile(p: Sizes): { BM: number; BN: number } {
  const edge = simtEdge(p);
  return { BM: edge, BN: edge };
}

/**
 * Rows and columns of C, vectors of them a thread; then, in microseconds on an NVIDIA H200, what a tile takes for 64 of k and
 * once, where a processor is full of them (gemm.md).
 */
const VECTOR_TILES = [
  [128, 96, 2, 3, 4.2, 2.5], // not for NN, where it was not measured
  [128, 64, 2, 2, 3, 2],
  [64, 64, 2, 2, 1.65, 1.5],
  [32, 32, 1, 1, 1.15, 1],
] as const;

/** The tile with the least estimated time, for `splits` parts of k. */
function vecChoice(
  { m, n, k, batch, LAYOUT }: LaidOut,
  splits: number,
): { BM: number; BN: number; QM: number; QN: number; cost: number } {
  const known = VECTOR_TILES.filter(([, , , QN]) => QN < 3 || LAYOUT !== NN);
  const costs = known.map(([BM, BN, QM, QN, slice, once]) => {
    // Tiles of one processor run side by side; one alone leaves half of it idle.
    const turns = Math.max(2, ceilDiv(tiles({ m, n, batch }, BM, BN) * splits, PROCESSORS));
    return { BM, BN, QM, QN, cost: (turns + 0.3) * ((k / splits / 64) * slice + once) };
  });
  return costs.reduce((best, tile) => (tile.cost < best.cost ? tile : best));
}

/** In whole vectors. Fours of k are written out for a GPU; on software adapters that doubles what it takes to build. */
export function vecTile(p: GemmProblem & { LAYOUT: number }, { subgroupMaxSize }: AdapterTraits) {
  if (!inQuads(p)) return null;
  const { BM, BN, QM, QN } = vecChoice(p, p.splits);
  return { BM, BN, QM, QN, STEP: subgroupMaxSize >= 32 ? 4 : 1, WHOLE: p.k % 16 === 0 };
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
}

/**
 * Rows and columns of C, subgroups along each, depth of a slice; then, on an NVIDIA H200 and in microseconds, what two such
 * tiles beside each other on a processor take for 64 of k and once (gemm.md).
 */
const MATRIX_TILES = [
  [160, 128, 2, 2, 32, 2, 5],
  [128, 160, 2, 2, 32, 2.1, 5],
  [128, 128, 2, 2, 32, 1.95, 3],
  [96, 128, 2, 2, 32, 1.55, 5],
  [64, 128, 2, 2, 32, 1.38, 2.5],
  [64, 64, 2, 2, 64, 0.85, 1.5],
  [32, 32, 2, 2, 32, 0.44, 0.7],
] as const;
/** An H200 has so many processors, each with workgroup memory and registers for two of these tiles. */
const PROCESSORS = 132;
/** What a tile takes that has a processor to itself, as part of that. */
const ALONE = 0.85;
/** What gemm.reduce moves in a microsecond, in bytes. */
const REDUCED = 3e6;

/** Bytes of workgroup memory: a staged slice as f16 with padded rows, whichever way it lies, or the f32 sums after it. */
function matrixBytes({ MM, MN, SUBGROUP, SM, SN, RM, RN, BK }: MatrixTile): number {
  const staged = (edge: number, subgroups: number): number => {
    const fold = subgroups % 4 === 0 && BK <= 16 ? 4 : subgroups % 2 === 0 && BK <= 32 ? 2 : 1;
    return Math.max(BK * (edge + 8), (edge / fold) * (fold * BK + 8)) * 2;
  };
  const slices = staged(SM * RM * MM, SM) + staged(SN * RN * MN, SN);
  return Math.max(slices, 16 * SM * SN * MM * ((RN * MN) / 4 + 2), 32 * SM * SN * SUBGROUP);
}

interface Priced {
  readonly tile: MatrixTile;
  /** Microseconds of `count` of them over a depth of k. */
  readonly cost: (count: number, k: number) => number;
}

/** How often every processor is given two tiles until all are done; in the last round it may be one. */
function rounds(count: number): number {
  const last = count % (2 * PROCESSORS);
  return Math.floor(count / (2 * PROCESSORS)) + (last > PROCESSORS ? 1 : last > 0 ? ALONE : 0);
}

/** Every tile that the adapter holds, the largest product of matrices first. */
export const matrixTiles = (adapter: AdapterTraits): MatrixTile[] => priced(adapter).map(({ tile }) => tile);

function priced(adapter: AdapterTraits): Priced[] {
  const found: Priced[] = [];
  for (const { M: MM, N: MN, K: MK } of largestFirst(adapter.matrices)) {
    for (const [BM, BN, SM, SN, BK, slice, once] of MATRIX_TILES) {
      const SUBGROUP = adapter.subgroupMaxSize;
      const knobs = { MM, MN, MK, SUBGROUP, SM, SN, RM: BM / SM / MM, RN: BN / SN / MN, BK };
      const threads = SM * SN * SUBGROUP;
      const slices = [BK / MK, (BM * BK) / 8 / threads, (BN * BK) / 8 / threads];
      // STEPS of slices.wgsl: fewer fours in a row of matrices than lanes would be no step, and nothing would be stored.
      const whole = [knobs.RM, knobs.RN, MN / 4, ...slices, (MM * (BN / SN)) / 4 / SUBGROUP];
      if (
        whole.every(Number.isInteger) &&
        // Sums that a lane holds: more would leave the registers, and of 8 lanes building more takes many seconds.
        (BM * BN) / threads <= (SUBGROUP >= 32 ? 160 : 64) &&
        workgroupFits(adapter, threads, matrixBytes(knobs))
      )
        found.push({
          tile: knobs,
          cost: (count, k) => rounds(count) * (ceilDiv(k, BK) * (BK / 64) * slice + once),
        });
    }
  }
  return found;
}

/** The tile of the adapter's largest product with the least estimated time. */
export function matrixTile(p: GemmProblem & { LAYOUT: number }, adapter: AdapterTraits): MatrixTile | null {
  return inQuads(p) ? (cheapest(p, p.splits, adapter)?.tile ?? null) : null;
}

function cheapest(p: LaidOut, splits: number, adapter: AdapterTraits): { tile: MatrixTile; cost: number } | null {
  const all = priced(adapter);
  let best: { tile: MatrixTile; cost: number } | null = null;
  for (const { tile, cost: costOf } of all) {
    const { MM, MN, MK, SM, SN, RM, RN } = tile;
    if (MM !== all[0].tile.MM || MN !== all[0].tile.MN || MK !== all[0].tile.MK) break;
    const cost = costOf(tiles(p, SM * RM * MM, SN * RN * MN) * splits, p.k / splits);
    if (!best || cost < best.cost) best = { tile, cost };
  }
  return best;
}

/** The number of parts with the least estimated time, the pass that sums them included; more only where they gain enough. */
function splitsOf(p: LaidOut, costOf: (splits: number) => number, gain: number): number {
  let best = { splits: 1, cost: Number.POSITIVE_INFINITY };
  for (let splits = 1; splits <= 12 && (splits === 1 || splits * 256 <= p.k); splits++) {
    const reduce = splits > 1 ? 5 + ((splits + 1) * 4 * p.m * p.n * p.batch) / REDUCED : 0;
    const cost = costOf(splits) + reduce;
    if (cost < (1 - gain) * best.cost) best = { splits, cost };
  }
  return best.splits;
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
export function splitFor(p: LaidOut, adapter: AdapterTraits): number {
  if (adapter.profile === 'matrix' && adapter.matrices.length > 0)
    return splitsOf(p, (splits) => cheapest(p, splits, adapter)?.cost ?? 0, 0.05);
  const tile = adapter.profile === 'cpu' ? cpuTile(p, adapter) : null;
  // Beside weight gradients only what is long: a dispatch more costs small models what they gain.
  if (!tile) return p.LAYOUT === TN || p.k >= 2048 ? splitsOf(p, (splits) => vecChoice(p, splits).cost, 0.03) : 1;
  return p.k < 512 ? 1 : cpuSplits(p, tile.TM, tile.TN * tile.SG);
}

/** Of op(A)'s numbers: from so many on, reading them again takes less than what their sums cost large tiles (gemm.md). */
const SUMMED_APART = 2.4e6;

/** Whether the sums of op(A)'s rows, which DBIAS asks for, are better taken apart, by reduce.columns. */
export const sumsApart = ({ m, k }: Pick<Sizes, 'm' | 'k'>, { profile, matrices }: AdapterTraits): boolean =>
  profile === 'matrix' && matrices.length > 0 && m * k >= SUMMED_APART;

/** A single tile leaves a core idle; elsewhere splitting lost or made no difference (gemm.md). */
const cpuSplits = (p: Sizes, rows: number, cols: number): number => (tiles(p, rows, cols) === 1 ? 2 : 1);
