// LARS's trust ratio of every tensor in a slab (You et al. 2017, "Large batch training of convolutional networks"), by two dispatches;
// the update itself is sgd.update with RATIO.
import { ADAMW_BLOCK } from '../adamw/adamw.ts';
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { subgroupThreads, sumBySubgroup, sumByWorkgroup } from '../lib/rows.ts';
import * as ref from './lars.ref.ts';
import ratio from './lars.ratio.wgsl';
import squares from './lars.squares.wgsl';

/** Elements of a part: what one workgroup adds up. */
export const LARS_PART = 4096;

const grid = ({ parts }: { parts: number }) => fold(parts);

/**
 * Sums of squares (parts, 2) of p and of hyper[6] g + wd p over parts of p, g (n) that each lie within one tensor; group and groups as in
 * adamw.update.
 */
export const larsSquares = defineKernel({
  name: 'lars.squares',
  variants: {
    simt: sumByWorkgroup(squares, { grid }),
    cpu: sumBySubgroup(squares, { grid, tune: (_, adapter) => subgroupThreads(adapter) }),
  },
  shapes: ({ n, parts, groupCount }) => ({
    p: [n],
    g: [n],
    ends: [parts, 2],
    group: [n / ADAMW_BLOCK],
    groups: [groupCount, 2],
    hyper: [8],
    squares: [parts, 2],
  }),
  flops: ({ n }) => 7 * n,
  reference: ref.squares,
  inputs: ({ n, parts, groupCount }, rng) => ({
    // Parts begin at blocks of 64 and may end anywhere within their share.
    ends: Array.from({ length: parts }, (_, i) => {
      const share = ADAMW_BLOCK * Math.floor(n / ADAMW_BLOCK / parts);
      return [i * share, i * share + 1 + rng.below(share)];
    }).flat(),
    group: Array.from({ length: n / ADAMW_BLOCK }, () => rng.below(groupCount)),
    groups: Array.from({ length: 2 * groupCount }, () => rng.uniform()),
  }),
  cases: [
    { n: 64, parts: 1, groupCount: 1 },
    { n: 640, parts: 7, groupCount: 2 },
    { n: 12800, parts: 3, groupCount: 5 },
  ],
});

/** ratio (tensors): trust * ||p|| / ||g + wd p||, from the parts of each tensor. */
export const larsRatio = defineKernel({
  name: 'lars.ratio',
  variants: { simt: variant(ratio, { grid: ({ tensors, WG }) => [ceilDiv(tensors, WG), 1, 1] }) },
  shapes: ({ parts, tensors }) => ({ squares: [parts, 2], spans: [tensors, 4], ratio: [tensors] }),
  flops: ({ parts }) => 2 * parts,
  reference: ref.ratio,
  inputs: ({ parts, tensors }, rng) => ({
    squares: Array.from({ length: 2 * parts }, (_, i) => (i === 1 ? 0 : rng.normal() ** 2)),
    spans: Array.from({ length: tensors }, (_, i) => {
      const first = Math.floor((i * parts) / tensors);
      return [first, Math.floor(((i + 1) * parts) / tensors), Number(i % 3 === 2), 0];
    }).flat(),
  }),
  cases: [
    { parts: 1, tensors: 1, trust: 0.001 },
    { parts: 9, tensors: 4, trust: 0.5 },
    { parts: 300, tensors: 131, trust: 0.001 },
  ],
});
