// The second pass of two split products in one dispatch: gradients that nothing in the backward pass waits for.
import { ceilDiv, defineKernel, fold, type Grid, variant } from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import finish from './gemm.finish.wgsl';
import * as ref from './gemm.ref.ts';
import partials from './partials.wgsl';

type Sizes = Record<'rows' | 'n' | 'rows2' | 'n2' | 'VECTOR' | 'WG', number> & { DBIAS: boolean; DBIAS2: boolean };
const grid = ({ rows, n, rows2, n2, DBIAS, DBIAS2, VECTOR, WG }: Sizes): Grid =>
  fold(
    ceilDiv((rows * n) / VECTOR + (rows2 * n2) / VECTOR, WG) + ceilDiv((DBIAS ? rows : 0) + (DBIAS2 ? rows2 : 0), WG),
  );
const lib = [partials];

/** gemm.reduce without an epilogue, twice: c, c2 and with DBIAS and DBIAS2 their dbias, of `groups` and `groups2` partial sums. */
export const gemmFinish = defineKernel({
  name: 'gemm.finish',
  variants: {
    simt: variant(finish, {
      lib,
      grid,
      tune: ({ rows, n, rows2, n2 }) => ((rows * n) % 4 || (rows2 * n2) % 4 ? null : {}),
      otherwise: variant(oneByOne(finish), { lib, grid }),
    }),
  },
  options: { DBIAS: false, DBIAS2: false },
  shapes: ({ splits, rows, n, groups, splits2, rows2, n2, groups2, DBIAS, DBIAS2 }) => ({
    parts: [splits, rows, n],
    parts2: [splits2, rows2, n2],
    dbiasParts: DBIAS ? [groups, rows] : null,
    dbiasParts2: DBIAS2 ? [groups2, rows2] : null,
    c: [rows, n],
    c2: [rows2, n2],
    dbias: DBIAS ? [rows] : null,
    dbias2: DBIAS2 ? [rows2] : null,
  }),
  flops: ({ splits, rows, n, splits2, rows2, n2 }) => splits * rows * n + splits2 * rows2 * n2,
  reference: ref.finishTwo,
  cases: [
    { splits: 1, rows: 1, n: 1, groups: 1, splits2: 1, rows2: 1, n2: 1, groups2: 1 },
    { splits: 3, rows: 7, n: 5, groups: 3, splits2: 2, rows2: 3, n2: 11, groups2: 2, DBIAS: true, DBIAS2: true },
    { splits: 2, rows: 66, n: 6, groups: 17, splits2: 5, rows2: 131, n2: 4, groups2: 5, DBIAS: true, DBIAS2: true },
    { splits: 4, rows: 20, n: 36, groups: 4, splits2: 3, rows2: 2, n2: 68, groups2: 3 },
    // The bias of one of them only.
    { splits: 2, rows: 66, n: 12, groups: 9, splits2: 2, rows2: 5, n2: 7, groups2: 0, DBIAS: true },
    { splits: 2, rows: 66, n: 12, groups: 0, splits2: 2, rows2: 70, n2: 8, groups2: 19, DBIAS2: true },
    // More partial sums of the bias than parts of the product; and rows that fill a workgroup, and one more.
    { splits: 2, rows: 64, n: 8, groups: 64, splits2: 3, rows2: 65, n2: 12, groups2: 11, DBIAS: true, DBIAS2: true },
  ],
});
