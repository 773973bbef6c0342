// Knobs of the attention kernels that measuring chooses from, besides those that tune.ts gives.
import { type AdapterTraits, ceilDiv } from '../kernel.ts';
import { workgroupFits } from '../lib/adapter.ts';
import { cheapLoads } from '../lib/loads.ts';
import { type FORWARD, mostRows } from './tune.ts';

const product = <A, B, R>(as: readonly A[], bs: readonly B[], make: (a: A, b: B) => R): R[] =>
  as.flatMap((a) => bs.map((b) => make(a, b)));

/**
 * simt: threads a workgroup, rows of the other side a tile, and how many threads share a row. `sums` is how many numbers a
 * thread adds up with those that share its row, through workgroup memory.
 */
export function simtCandidates(
  { dim, tokens }: { dim: number; tokens: number },
  adapter: AdapterTraits,
  threads: readonly number[],
  tiles: readonly number[],
  sums: number,
) {
  const of = (PARTS: number) =>
    product(threads, tiles, (WG, TILE) => ({ DIM: dim, PARTS, HELD: ceilDiv(dim / 4, PARTS), WG, TILE })).filter(
      ({ HELD, WG, TILE }) => {
        const bytes = 4 * TILE * (8 * HELD * PARTS + (PARTS > 1 ? sums * WG : 0) + 2);
        const useful = WG === Math.min(...threads) || WG / PARTS < 2 * tokens;
        return workgroupFits(adapter, WG, bytes) && HELD <= 8 && useful;
      },
    );
  const shares = [1, 2, 4, 8, 16].map(of).filter((list) => list.length > 0);
  // The fewest threads to a row that can hold it, and a few settings with twice as many.
  return [...(shares[0] ?? []).slice(0, 6), ...(shares[1] ?? []).slice(0, 3)];
}

/** cpu: rows a lane, and rows of the other side at once; past these they only spill, or take long to build (attention.md). */
export const laneCandidates =
  ({ held }: typeof FORWARD) =>
  ({ dim, tokens }: { dim: number; tokens: number }, adapter: AdapterTraits) => {
    const most = Math.min(ceilDiv(tokens, adapter.subgroupMaxSize), mostRows(dim, adapter, held));
    const rows = [1, 2, 3].filter((R) => R <= most);
    const others = !cheapLoads(adapter) || dim > 64 ? [1, 2] : [1, 2, 4];
    return product(rows, others, (R, KB) => ({ R, KB }));
  };
