// Sums in two deterministic stages: many chunks to partial sums, then the partial sums to one.
import { ceilDiv, defineKernel, type Grid, type Profile, variant } from '../kernel.ts';
import { oneSubgroup, subgroupThreads } from '../lib/rows.ts';
import rowsum from '../lib/rowsum.wgsl';
import subgroupsum from '../lib/subgroupsum.wgsl';
import columns from './reduce.columns.wgsl';
import * as ref from './reduce.ref.ts';
import sum from './reduce.sum.wgsl';

const blocks = ({ cols, groups, TX }: { cols: number; groups: number; TX: number }): Grid => [
  ceilDiv(cols, TX),
  groups,
  1,
];

/**
 * Sums of columns [offset, offset + cols) of x (rows, stride) over `groups` contiguous chunks of rows: y (groups, cols).
 * groups 1 finishes.
 */
export const reduceColumns = defineKernel({
  name: 'reduce.columns',
  variants: {
    simt: variant(columns, { grid: blocks }),
    // No barrier is left with TY = 1.
    cpu: variant(columns, { grid: blocks, tune: () => ({ TX: 64, TY: 1 }) }),
  },
  shapes: ({ rows, cols, groups, stride }) => ({ x: [rows, stride], y: [groups, cols] }),
  flops: ({ rows, cols }) => rows * cols,
  reference: ref.columns,
  cases: [
    { rows: 1, cols: 1, groups: 1, stride: 1, offset: 0 },
    { rows: 7, cols: 33, groups: 3, stride: 33, offset: 0 },
    { rows: 9, cols: 5, groups: 7, stride: 5, offset: 0 },
    { rows: 11, cols: 6, groups: 2, stride: 14, offset: 7 },
    { rows: 257, cols: 65, groups: 4, stride: 65, offset: 0 },
    { rows: 4160, cols: 31, groups: 1, stride: 31, offset: 0 },
    { rows: 65, cols: 768, groups: 64, stride: 768, offset: 0 },
  ],
});

/** Chunks for the first stage of a column sum; 1 where a second stage would not pay. */
export function columnGroups(rows: number, cols: number, profile: Profile = 'simt'): number {
  const wanted = ceilDiv(profile === 'cpu' ? 1024 : 32768, cols);
  return Math.max(1, Math.min(wanted, 256, ceilDiv(rows, 32)));
}

/** Sums (SQUARE: sums of squares) of x (n) over `groups` contiguous chunks: y (groups). groups 1 finishes. */
export const reduceSum = defineKernel({
  name: 'reduce.sum',
  variants: {
    simt: variant(sum, { lib: [rowsum], grid: ({ groups }) => [groups, 1, 1] }),
    cpu: variant(oneSubgroup(sum), {
      lib: [subgroupsum],
      needs: ['subgroups'],
      grid: ({ groups }) => [groups, 1, 1],
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
    { n: 4096, groups: 4, SQUARE: true },
  ],
});

/** Chunks for the first stage of a sum over n elements. */
export const sumGroups = (n: number): number => Math.max(1, Math.min(256, ceilDiv(n, 4096)));
