// Dynamic loss scale, wholly on the GPU: overflow is looked for, the step skipped and the scale changed without a readback.
import { defineKernel, type Grid } from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import { subgroupThreads, sumBySubgroup, sumByWorkgroup } from '../lib/rows.ts';
import type { Random } from '../random/random.ts';
import check from './lossscale.check.wgsl';
import * as ref from './lossscale.ref.ts';
import update from './lossscale.update.wgsl';

/** Bits of infinities and NaN, quiet and signalling. */
const OVERFLOWED = [0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff];

/** Normal numbers, the largest finite ones and subnormal ones, and in long slabs a few that overflowed, one of them last. */
function gradientBits(n: number, rng: Random): Uint32Array {
  const bits = new Uint32Array(Float32Array.from({ length: n }, () => rng.normal()).buffer);
  const near = [0x7f7fffff, 0xff7fffff, 0x00000001, 0x807fffff];
  for (let i = 0; i < n; i += 1 + rng.below(9)) bits[i] = near[rng.below(near.length)];
  for (let bad = Math.min(3, n >> 9); bad > 0; bad--) {
    bits[bad === 1 ? n - 1 : rng.below(n)] = OVERFLOWED[rng.below(OVERFLOWED.length)];
  }
  return bits;
}

const byGroups = ({ groups }: { groups: number }): Grid => [groups, 1, 1];

/**
 * flags (groups): 1 where a chunk of the gradients g (n; f32, bound by their bits) holds an infinity or a NaN, else 0. The
 * chunks are those of reduce.sum: `sumGroups(n)` of them.
 */
export const lossscaleCheck = defineKernel({
  name: 'lossscale.check',
  variants: {
    simt: sumByWorkgroup(check, {
      grid: byGroups,
      tune: ({ n }) => (n % 4 ? null : {}),
      otherwise: sumByWorkgroup(oneByOne(check), { grid: byGroups }),
    }),
    cpu: sumBySubgroup(oneByOne(check), {
      grid: byGroups,
      tune: (_, adapter) => subgroupThreads(adapter),
    }),
  },
  shapes: ({ n, groups }) => ({ g: [n], flags: [groups] }),
  flops: () => 0,
  reference: ref.check,
  inputs: ({ n }, rng) => ({ g: gradientBits(n, rng) }),
  cases: [
    { n: 1, groups: 1 },
    { n: 5, groups: 7 },
    { n: 513, groups: 1 },
    { n: 70001, groups: 13 },
    { n: 70004, groups: 13 },
    { n: 4096, groups: 4 },
  ],
});

/**
 * One step of the scale (1) from the flags of all slabs: hyper (8) of AdamW gets the multiplier that takes the scale off
 * these gradients and whether to skip the step. After an overflow the scale halves (not below 1), after `interval` steps
 * without one it doubles (not above 2^24). good (1) counts those steps, skipped (1) all that were skipped. Before adamw.tick.
 */
export const lossscaleUpdate = defineKernel({
  name: 'lossscale.update',
  variants: { simt: sumByWorkgroup(update, { grid: () => [1, 1, 1] }) },
  inout: ['scale', 'good', 'skipped', 'hyper'],
  shapes: ({ groups }) => ({ flags: [groups], scale: [1], good: [1], skipped: [1], hyper: [8] }),
  flops: ({ groups }) => groups,
  reference: ref.update,
  // An odd number of flags: one of them is set. The scale starts at the end that the step goes towards where interval is 1.
  inputs: ({ groups, interval }, rng) => {
    const at = groups % 2 ? rng.below(groups) : -1;
    const edge = groups % 2 ? 1 : 2 ** 24;
    return {
      flags: Array.from({ length: groups }, (_, i) => Number(i === at)),
      scale: [interval === 1 ? edge : 2 ** (1 + rng.below(23))],
      good: [interval > 100 ? rng.below(interval - 1) : interval - 1],
      skipped: [rng.below(1000)],
    };
  },
  cases: [
    { groups: 1, interval: 2000 },
    { groups: 2, interval: 2000 },
    { groups: 67, interval: 5 },
    { groups: 256, interval: 5 },
    { groups: 301, interval: 1 },
    { groups: 300, interval: 1 },
  ],
});
