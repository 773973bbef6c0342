// Fused AdamW over flat slabs: every tensor of a model in one dispatch, its scalars on the GPU.
import { fail } from '../errors.ts';
import { defineKernel, variant } from '../kernel.ts';
import { sumByWorkgroup } from '../lib/rows.ts';
import { spread } from '../lib/spread.ts';
import clip from './adamw.clip.wgsl';
import * as ref from './adamw.ref.ts';
import tick from './adamw.tick.wgsl';
import update from './adamw.update.wgsl';

/** Elements that share one entry of `group`: tensors start at multiples of it in a slab. */
export const ADAMW_BLOCK = 64;

/**
 * The buffer `hyper` (8) before the first step: lr, 1 - beta1, 1 - beta2, eps, the bias corrections, a multiplier of
 * gradients (clipping, loss scale) of 1, and that the step is not skipped.
 */
export function adamwHyper(o: { lr: number; beta1: number; beta2: number; eps: number }): Float32Array<ArrayBuffer> {
  return Float32Array.of(o.lr, 1 - o.beta1, 1 - o.beta2, o.eps, 1 - o.beta1, 1 - o.beta2, 1, 0);
}

/** Parameters of adamw.tick; logarithms taken in f64 (beta 0 as e^-100, which is 0 in f32). */
export function adamwLogs(o: { beta1: number; beta2: number }): { lnBeta1: number; lnBeta2: number } {
  return { lnBeta1: Math.max(-100, Math.log(o.beta1)), lnBeta2: Math.max(-100, Math.log(o.beta2)) };
}

/**
 * One step of AdamW in place on p, m, v (n) with gradients g (n). group (n / 64) names for every 64 elements the
 * row of groups (groupCount, 2): weight decay, lr scale. hyper (8): see adamwHyper, adamw.tick, adamw.clip, lossscale.update.
 * Nothing changes where it says to skip the step. n must be a multiple of 64: slabs are.
 */
export const adamwUpdate = defineKernel({
  name: 'adamw.update',
  variants: spread(update),
  inout: ['p', 'm', 'v'],
  shapes: ({ n, groupCount }) => {
    if (n % ADAMW_BLOCK) fail(`adamw.update: n must be a multiple of ${ADAMW_BLOCK}, got ${n}`);
    return { p: [n], g: [n], m: [n], v: [n], group: [n / ADAMW_BLOCK], groups: [groupCount, 2], hyper: [8] };
  },
  flops: ({ n }) => 16 * n,
  reference: ref.update,
  inputs: ({ n, groupCount }, rng) => ({
    v: Array.from({ length: n }, () => rng.normal() ** 2),
    group: Array.from({ length: n / ADAMW_BLOCK }, () => rng.below(groupCount)),
    groups: Array.from({ length: 2 * groupCount }, () => rng.uniform()),
    hyper: [0.3, 0.1, 0.001, 1e-8, 1 - 0.9 ** 3, 1 - 0.999 ** 3, 0.5, Number(groupCount === 2)],
  }),
  cases: [
    { n: 64, groupCount: 1 },
    { n: 192, groupCount: 2 },
    { n: 1024, groupCount: 3 },
    { n: 4160, groupCount: 50 },
  ],
});

/**
 * step (1) += 1, and the bias corrections 1 - beta^step into hyper[4], hyper[5]; nothing where hyper[7] says to skip. Once a
 * step, before adamw.update.
 */
export const adamwTick = defineKernel({
  name: 'adamw.tick',
  variants: { simt: variant(tick, { grid: () => [1, 1, 1] }) },
  inout: ['step', 'hyper'],
  shapes: () => ({ step: [1], hyper: [8] }),
  flops: () => 60,
  reference: ref.tick,
  inputs: (logs, rng) => ({
    step: [logs.lnBeta1 < -1 ? 0 : rng.below(3000)],
    hyper: [...Array.from({ length: 7 }, () => rng.normal()), Number(logs.lnBeta1 === logs.lnBeta2)],
  }),
  tolerance: 1e-6,
  cases: [
    { lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.999) },
    { lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.95) },
    { lnBeta1: -100, lnBeta2: Math.log(0.9999) },
    { lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.9) },
  ],
});

/**
 * norm (1) of all gradients from partial sums of squares (groups), and the multiplier that clips it into hyper[6]. SCALED:
 * the gradients carry a loss scale, 1 / hyper[6] (lossscale.update), which norm is without and the multiplier takes off.
 */
export const adamwClip = defineKernel({
  name: 'adamw.clip',
  variants: { simt: sumByWorkgroup(clip, { grid: () => [1, 1, 1] }) },
  options: { SCALED: false },
  inout: ['hyper'],
  shapes: ({ groups }) => ({ squares: [groups], hyper: [8], norm: [1] }),
  flops: ({ groups }) => groups,
  reference: ref.clip,
  inputs: ({ groups, SCALED }, rng) => {
    const scale = SCALED ? 2 ** (1 + rng.below(10)) : 1;
    return {
      squares: Array.from({ length: groups }, () => (scale * rng.normal()) ** 2),
      hyper: [0.3, 0.1, 0.001, 1e-8, 0.5, 0.5, SCALED ? 1 / scale : rng.uniform(), 0],
    };
  },
  cases: [
    { groups: 1, maxNorm: 0.01 },
    { groups: 67, maxNorm: 1 },
    { groups: 256, maxNorm: 1000 },
    { groups: 67, maxNorm: 1, SCALED: true },
    { groups: 3, maxNorm: 1000, SCALED: true },
  ],
});
