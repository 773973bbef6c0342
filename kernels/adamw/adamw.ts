// Fused AdamW over flat slabs: every tensor of a model in one dispatch, its scalars on the GPU.
import { ceilDiv, defineKernel, variant } from '../kernel.ts';
import rowsum from '../lib/rowsum.wgsl';
import { spread } from '../lib/spread.ts';
import clip from './adamw.clip.wgsl';
import * as ref from './adamw.ref.ts';
import tick from './adamw.tick.wgsl';
import update from './adamw.update.wgsl';

/** Elements that share one entry of `group`: tensors start at multiples of it in a slab. */
export const ADAMW_BLOCK = 64;

/** The buffer `hyper` (8) before the first step: lr, 1 - beta1, 1 - beta2, eps, the bias corrections, no clipping. */
export function adamwHyper(o: { lr: number; beta1: number; beta2: number; eps: number }): Float32Array<ArrayBuffer> {
  return Float32Array.of(o.lr, 1 - o.beta1, 1 - o.beta2, o.eps, 1 - o.beta1, 1 - o.beta2, 1, 0);
}

/** Parameters of adamw.tick; logarithms taken in f64 (beta 0 as e^-100, which is 0 in f32). */
export function adamwLogs(o: { beta1: number; beta2: number }): { lnBeta1: number; lnBeta2: number } {
  return { lnBeta1: Math.max(-100, Math.log(o.beta1)), lnBeta2: Math.max(-100, Math.log(o.beta2)) };
}

/**
 * One step of AdamW in place on p, m, v (n) with gradients g (n). group (ceil(n / 64)) names for every 64 elements the
 * row of groups (groupCount, 2): weight decay, lr scale. hyper (8): see adamwHyper, adamw.tick and adamw.clip.
 */
export const adamwUpdate = defineKernel({
  name: 'adamw.update',
  variants: spread(update),
  inout: ['p', 'm', 'v'],
  shapes: ({ n, groupCount }) => ({
    p: [n],
    g: [n],
    m: [n],
    v: [n],
    group: [ceilDiv(n, ADAMW_BLOCK)],
    groups: [groupCount, 2],
    hyper: [8],
  }),
  flops: ({ n }) => 16 * n,
  reference: ref.update,
  inputs: ({ n, groupCount }, rng) => ({
    v: Array.from({ length: n }, () => rng.normal() ** 2),
    group: Array.from({ length: ceilDiv(n, ADAMW_BLOCK) }, () => rng.below(groupCount)),
    groups: Array.from({ length: 2 * groupCount }, () => rng.uniform()),
    hyper: [0.3, 0.1, 0.001, 1e-8, 1 - 0.9 ** 3, 1 - 0.999 ** 3, 0.5, 0],
  }),
  cases: [
    { n: 1, groupCount: 1 },
    { n: 65, groupCount: 2 },
    { n: 1000, groupCount: 3 },
    { n: 4097, groupCount: 50 },
  ],
});

/** step (1) += 1, and the bias corrections 1 - beta^step into hyper[4], hyper[5]. Once a step, before adamw.update. */
export const adamwTick = defineKernel({
  name: 'adamw.tick',
  variants: { simt: variant(tick, { grid: () => [1, 1, 1] }) },
  inout: ['step', 'hyper'],
  shapes: () => ({ step: [1], hyper: [8] }),
  flops: () => 60,
  reference: ref.tick,
  inputs: (logs, rng) => ({ step: [logs.lnBeta1 < -1 ? 0 : rng.below(3000)] }),
  tolerance: 1e-6,
  cases: [
    { lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.999) },
    { lnBeta1: Math.log(0.9), lnBeta2: Math.log(0.95) },
    { lnBeta1: -100, lnBeta2: Math.log(0.9999) },
  ],
});

/** norm (1) of all gradients from partial sums of squares (groups), and the multiplier that clips it into hyper[6]. */
export const adamwClip = defineKernel({
  name: 'adamw.clip',
  variants: { simt: variant(clip, { lib: [rowsum], grid: () => [1, 1, 1] }) },
  inout: ['hyper'],
  shapes: ({ groups }) => ({ squares: [groups], hyper: [8], norm: [1] }),
  flops: ({ groups }) => groups,
  reference: ref.clip,
  inputs: ({ groups }, rng) => ({ squares: Array.from({ length: groups }, () => rng.normal() ** 2) }),
  cases: [
    { groups: 1, maxNorm: 0.01 },
    { groups: 67, maxNorm: 1 },
    { groups: 256, maxNorm: 1000 },
  ],
});
