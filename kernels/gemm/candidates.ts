// Tiles that measuring chooses from, besides the one that tune.ts gives: what won somewhere, in gemm.md or elsewhere.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { workgroupFits } from '../lib/adapter.ts';
import { cheapLoads } from '../lib/loads.ts';
import { type GemmProblem, inQuads } from './problem.ts';
import { matrixTiles } from './tune.ts';

type Problem = GemmProblem & { LAYOUT: number };

/** Beyond its own choice a variant offers no more: each is compiled and measured. */
const MOST = 9;

/** How much of tiles of rows x cols lies inside C. */
function inside({ m, n }: Pick<GemmProblem, 'm' | 'n'>, rows: number, cols: number): number {
  return (m * n) / (ceilDiv(m, rows) * rows * ceilDiv(n, cols) * cols);
}

/** Those that waste the least at the edges, in their own order: a tile much larger than C is no candidate. */
function fitting<T>(p: Pick<GemmProblem, 'm' | 'n'>, tiles: readonly T[], edges: (tile: T) => [number, number]): T[] {
  const part = (tile: T): number => inside(p, ...edges(tile));
  const best = Math.max(...tiles.map(part));
  return tiles.filter((tile) => part(tile) >= 0.6 * best).slice(0, MOST);
}

const SIMT_TILES = [
  { BM: 64, BN: 64, TM: 4, TN: 4 },
  { BM: 32, BN: 32, TM: 4, TN: 4 },
  { BM: 64, BN: 32, TM: 4, TN: 4 },
  { BM: 32, BN: 64, TM: 4, TN: 4 },
  { BM: 64, BN: 64, TM: 8, TN: 4 },
  { BM: 64, BN: 64, TM: 8, TN: 8 },
  { BM: 32, BN: 64, TM: 4, TN: 8 },
];

export const simtCandidates = (p: Problem, adapter: AdapterTraits) =>
  fitting(
    p,
    SIMT_TILES.filter(({ BM, BN, TM, TN }) => workgroupFits(adapter, (BM * BN) / TM / TN, 4 * 16 * (BM + 2 + BN + 2))),
    ({ BM, BN }) => [BM, BN],
  );

const VECTOR_TILES = [
  { BM: 64, BN: 64, QM: 2, QN: 2 },
  { BM: 128, BN: 64, QM: 2, QN: 2 },
  { BM: 64, BN: 128, QM: 2, QN: 2 },
  { BM: 128, BN: 96, QM: 2, QN: 3 },
  { BM: 128, BN: 128, QM: 2, QN: 2 },
  { BM: 64, BN: 64, QM: 2, QN: 1 },
  { BM: 32, BN: 32, QM: 1, QN: 1 },
  { BM: 64, BN: 32, QM: 2, QN: 1 },
  { BM: 64, BN: 64, QM: 1, QN: 1 },
];

export function vecCandidates(p: Problem, adapter: AdapterTraits) {
  if (!inQuads(p)) return [];
  const legal = VECTOR_TILES.filter(({ BM, BN, QM, QN }) =>
    workgroupFits(adapter, (BM * BN) / 16 / QM / QN, 4 * 16 * (BM + BN)),
  );
  return fitting(p, legal, ({ BM, BN }) => [BM, BN]);
}

export const matrixCandidates = (p: Problem, adapter: AdapterTraits) =>
  fitting(p, matrixTiles(adapter), (t) => [t.SM * t.RM * t.MM, t.SN * t.RN * t.MN]);

/** Rows and vectors of columns a lane; more of them need fewer loads and leave fewer registers. */
const LANE_TILES: Readonly<Record<number, readonly (readonly [TM: number, TN: number])[]>> = {
  16: [
    [32, 6],
    [32, 4],
    [32, 3],
    [32, 2],
    [16, 6],
    [16, 4],
    [16, 8],
    [16, 3],
    [16, 2],
    [16, 1],
  ],
  8: [
    [16, 8],
    [16, 6],
    [16, 4],
    [24, 4],
    [32, 4],
    [8, 8],
    [16, 3],
    [8, 4],
    [16, 2],
  ],
  4: [
    [16, 8],
    [16, 6],
    [16, 4],
    [8, 8],
    [8, 6],
    [12, 6],
    [16, 2],
  ],
};

/** Of sums a lane, where loads are dear: more take many seconds to build and are slower, too (gemm.md). */
const MOST_SUMS = 64;

export function cpuCandidates(p: Problem, adapter: AdapterTraits) {
  const SG = adapter.subgroupMinSize;
  const small = SG < 16 && !cheapLoads(adapter);
  const tiles = (LANE_TILES[SG] ?? [])
    .map(([TM, TN]) => ({ TM, TN }))
    .filter(({ TM, TN }) => !small || TM * TN <= MOST_SUMS);
  return fitting(p, tiles, ({ TM, TN }) => [TM, TN * SG]);
}

/** Rows and vectors of columns a lane. */
const LANE_VECTORS: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  8: [
    [24, 1],
    [16, 1],
    [32, 1],
    [8, 1],
    [16, 2],
    [8, 2],
  ],
  4: [
    [16, 4],
    [16, 2],
    [16, 3],
    [8, 4],
    [12, 3],
    [8, 2],
  ],
};

export function cpuVecCandidates(p: Problem, adapter: AdapterTraits) {
  const SG = adapter.subgroupMinSize;
  if (cheapLoads(adapter) || !inQuads(p)) return [];
  const tiles = (LANE_VECTORS[SG] ?? []).map(([TM, TV]) => ({ SG, TM, TV }));
  return fitting(p, tiles, ({ TM, TV }) => [TM, TV * SG * 4]);
}
