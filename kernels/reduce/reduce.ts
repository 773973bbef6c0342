// Sums in two deterministic stages: many chunks to partial sums, then the partial sums to one.
import { ceilDiv, defineKernel, type Grid, type Profile, variant } from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import { subgroupThreads, sumBySubgroup, sumByWorkgroup } from '../lib/rows.ts';
import columns from './reduce.columns.wgsl';
import * as ref from './reduce.ref.ts';
import sum from './reduce.sum.wgsl';

interface Part {
  cols: number;
  stride: number;
  offset: number;
  groups: number;
  VECTOR: number;
  TX: number;
  SUMS: number;
  TWICE: boolean;
}
const blocks = ({ cols, groups, VECTOR, TX, SUMS, TWICE }: Part): Grid => [
  (TWICE ? 2 : 1) * ceilDiv(SUMS * cols, VECTOR * TX),
  groups,
  1,
];
/** Narrow blocks give more of a GPU work, wide ones read longer pieces. */
const BLOCKS = [
  { TX: 16, TY: 16 },
  { TX: 4, TY: 64 },
  { TX: 8, TY: 32 },
  { TX: 2, TY: 128 },
];
const inVectors = ({ cols, stride, offset, VECTOR }: Part) => [cols, stride, offset].every((n) => n % VECTOR === 0);
/**
 * Sums of columns [offset, offset + cols) of x (rows, stride) over `groups` contiguous chunks of rows: y (groups, cols).
 * groups 1 finishes. With SUMS 2 or 3 those of the `cols` columns after them too, and of those after them: z, v. With HALF x is f16. With TWICE the same of x2.
 */
export const reduceColumns = defineKernel({
  name: 'reduce.columns',
  variants: {
    simt: variant(columns, {
      grid: blocks,
      // Few rows or columns: narrower blocks, so that more of a GPU has work.
      tune: (part) =>
        inVectors(part) ? (blocks({ ...part, TX: 16 })[0] * part.groups < 256 ? { TX: 4, TY: 64 } : {}) : null,
      candidates: () => BLOCKS,
      otherwise: variant(oneByOne(columns), { grid: blocks, tune: () => ({ TX: 32, TY: 8 }) }),
    }),
    // No barrier is left with TY = 1.
    cpu: variant(columns, {
      grid: blocks,
      tune: (part) => (inVectors(part) ? { TX: 16, TY: 1 } : null),
      otherwise: variant(oneByOne(columns), { grid: blocks, tune: () => ({ TX: 64, TY: 1 }) }),
    }),
  },
  options: { HALF: false, SUMS: 1, TWICE: false },
  half: { x: 'HALF', x2: 'HALF' },
  shapes: ({ rows, cols, groups, stride, SUMS, TWICE }) => ({
    x: [rows, stride],
    y: [groups, cols],
    z: SUMS > 1 ? [groups, cols] : null,
    v: SUMS > 2 ? [groups, cols] : null,
    x2: TWICE ? [rows, stride] : null,
    y2: TWICE ? [groups, cols] : null,
    z2: TWICE && SUMS > 1 ? [groups, cols] : null,
    v2: TWICE && SUMS > 2 ? [groups, cols] : null,
  }),
  sizes: ['rows', 'cols', 'groups'],
  moves: ({ rows, cols, SUMS }) => ({ x: SUMS * rows * cols, x2: SUMS * rows * cols }),
  flops: ({ rows, cols, SUMS, TWICE }) => SUMS * (TWICE ? 2 : 1) * rows * cols,
  reference: ref.columns,
  cases: [
    { rows: 1, cols: 1, groups: 1, stride: 1, offset: 0 },
    { rows: 7, cols: 33, groups: 3, stride: 33, offset: 0 },
    { rows: 9, cols: 5, groups: 7, stride: 5, offset: 0 },
    { rows: 11, cols: 6, groups: 2, stride: 14, offset: 7 },
    { rows: 257, cols: 65, groups: 4, stride: 65, offset: 0 },
    { rows: 4160, cols: 31, groups: 1, stride: 31, offset: 0 },
    { rows: 65, cols: 768, groups: 64, stride: 768, offset: 0 },
    { rows: 33, cols: 36, groups: 5, stride: 36, offset: 0, HALF: true },
    { rows: 1031, cols: 72, groups: 3, stride: 212, offset: 68, HALF: true },
    { rows: 131, cols: 192, groups: 1, stride: 384, offset: 192 },
    { rows: 17, cols: 5, groups: 1, stride: 10, offset: 0, SUMS: 2 },
    { rows: 37, cols: 68, groups: 2, stride: 140, offset: 4, SUMS: 2, HALF: true },
    { rows: 17, cols: 5, groups: 1, stride: 10, offset: 0, SUMS: 2, TWICE: true },
    { rows: 64, cols: 192, groups: 1, stride: 384, offset: 0, SUMS: 2, TWICE: true },
    { rows: 37, cols: 68, groups: 2, stride: 140, offset: 4, TWICE: true, HALF: true },
    { rows: 19, cols: 7, groups: 1, stride: 21, offset: 0, SUMS: 3, TWICE: true },
    { rows: 67, cols: 132, groups: 1, stride: 396, offset: 0, SUMS: 3 },
    { rows: 133, cols: 20, groups: 3, stride: 64, offset: 4, SUMS: 3, TWICE: true },
  ],
});

/** Chunks for the first stage of a column sum; 1 where a second stage would not pay. */
export function columnGroups(rows: number, cols: number, profile: Profile = 'simt'): number {
  const wanted = ceilDiv(profile === 'cpu' ? 1024 : 32768, cols);
  return Math.max(1, Math.min(wanted, 256, ceilDiv(rows, 32)));
}

/**
 * Chunks for the first stage where a thread of gemm.reduce or gemm.finish adds up those of a column, beside other work: eight at a time, in at
 * most eight rounds.
 */
export const partialGroups = (rows: number, cols: number, profile: Profile = 'simt'): number =>
  Math.min(64, 8 * ceilDiv(columnGroups(rows, cols, profile), 8));

const byGroups = ({ groups }: { groups: number }): Grid => [groups, 1, 1];

/** Sums (SQUARE: sums of squares) of x (n) over `groups` contiguous chunks, each a multiple of 4 long: y (groups). groups 1 finishes. */
export const reduceSum = defineKernel({
  name: 'reduce.sum',
  variants: {
    simt: sumByWorkgroup(sum, {
      grid: byGroups,
      tune: ({ n }) => (n % 4 ? null : {}),
      otherwise: sumByWorkgroup(oneByOne(sum), { grid: byGroups }),
    }),
    cpu: sumBySubgroup(oneByOne(sum), {
      grid: byGroups,
      tune: (_, adapter) => subgroupThreads(adapter),
    }),
  },
  options: { SQUARE: false },
  shapes: ({ n, groups }) => ({ x: [n], y: [groups] }),
  flops: ({ n, SQUARE }) => (SQUARE ? 2 : 1) * n,
  reference: ref.sum,
  cases: [
    { n: 1, groups: 1 },
    { n: 5, groups: 7 },
    { n: 1027, groups: 1, SQUARE: true },
    { n: 70001, groups: 13 },
    { n: 70004, groups: 13, SQUARE: true },
    { n: 4096, groups: 4, SQUARE: true },
  ],
});

/** Chunks for the first stage of a sum over n elements. */
export const sumGroups = (n: number): number => Math.max(1, Math.min(1024, ceilDiv(n, 4096)));
