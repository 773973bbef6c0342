// Masked mean squared error against the image itself (He et al. 2021, section 3, "Reconstruction target").
import { type BindingTypes, ceilDiv, defineKernel, fold, variant, type Wgsl } from '../kernel.ts';
import bygroup from '../lib/bygroup.wgsl';
import bylane from '../lib/bylane.wgsl';
import { cheapLoads } from '../lib/loads.ts';
import { rowThreads, subgroupThreads, sumBySubgroup, sumByWorkgroup } from '../lib/rows.ts';
import type { Random } from '../random/random.ts';
import backward from './loss.backward.wgsl';
import backwardQuads from './loss.backward.quads.wgsl';
import finish from './loss.finish.wgsl';
import forward from './loss.forward.wgsl';
import forwardQuads from './loss.forward.quads.wgsl';
import * as ref from './loss.ref.ts';
import target from './loss.target.wgsl';
import quads from './quads.wgsl';
import lib from './target.wgsl';

type Sizes = Omit<ref.Sizes, 'NORM'>;

const patches = ({ height, width, patch_size }: Sizes): number => (height / patch_size) * (width / patch_size);
const rows = (s: Sizes): number => s.batch * patches(s);
const size = ({ chans, patch_size }: Sizes): number => patch_size * patch_size * chans;
const pixels = (s: Sizes): number => s.batch * s.chans * s.height * s.width;

type Knobs = { NORM: boolean; WG: number; CHANS: number; PATCH: number; WRITTEN: boolean };
type QuadKnobs = Omit<Knobs, 'WRITTEN'> & { PER: number };
type ParamsOf = { batch: 'u32'; chans: 'u32'; height: 'u32'; width: 'u32'; patch_size: 'u32' };

/**
 * A subgroup for a patch, which holds it in registers as quads of pixels; where the adapter's are of no known size or sides do not fit, a workgroup,
 * which reads it several times. On software adapters a thread, which saves the barriers.
 */
function byPatch<B extends BindingTypes>(
  wgsl: Wgsl<B, ParamsOf, Knobs>,
  inQuads: Wgsl<B, ParamsOf, QuadKnobs> | null = null,
) {
  const constants = (s: Sizes) => ({ CHANS: s.chans, PATCH: s.patch_size });
  const grid = (s: Sizes) => fold(rows(s));
  const loop = sumByWorkgroup(wgsl, {
    lib: [lib, bygroup],
    grid,
    tune: (s) => ({ ...constants(s), ...rowThreads(s.patch_size ** 2) }),
  });
  const held = (s: Sizes, WG: number) => {
    const PER = ceilDiv(s.patch_size ** 2 / 4, WG);
    const fits = s.patch_size % 4 === 0 && s.width % 4 === 0 && PER * s.chans <= 8;
    return fits ? { ...constants(s), WG, PER } : null;
  };
  const simt =
    inQuads &&
    sumBySubgroup(inQuads, {
      lib: [quads],
      grid,
      tune: (s, adapter) => held(s, subgroupThreads(adapter)?.WG ?? 0),
      otherwise: sumByWorkgroup(inQuads, { lib: [quads], grid, tune: (s) => held(s, 64), otherwise: loop }),
    });
  const cpu = variant(wgsl, {
    lib: [lib, bylane],
    needs: ['subgroups'],
    grid: (s) => fold(ceilDiv(rows(s), s.WG)),
    tune: (s, adapter) => ({ ...constants(s), WG: adapter.subgroupMaxSize, WRITTEN: cheapLoads(adapter) }),
  });
  return { simt: simt ?? loop, cpu };
}

/** Share of the patches that are removed in tests, in measurements and in the paper: image and prediction of others are not read. */
const MASKED = 0.75;
const bits = (n: number, rng: Random): number[] => Array.from({ length: n }, () => Number(rng.uniform() < MASKED));

const cases = [
  { batch: 1, chans: 1, height: 1, width: 1, patch_size: 1 },
  { batch: 2, chans: 3, height: 6, width: 10, patch_size: 2 },
  { batch: 3, chans: 1, height: 9, width: 6, patch_size: 3, NORM: false },
  { batch: 2, chans: 4, height: 35, width: 14, patch_size: 7 },
  { batch: 1, chans: 3, height: 32, width: 48, patch_size: 16 },
  { batch: 1, chans: 1, height: 257, width: 257, patch_size: 1, NORM: false },
  { batch: 1, chans: 5, height: 24, width: 12, patch_size: 12, NORM: false },
];

const errorCases = [
  ...cases,
  { ...cases[1], L1: true },
  { ...cases[2], L1: true },
  { batch: 2, chans: 3, height: 8, width: 24, patch_size: 8, L1: true },
  { batch: 3, chans: 1, height: 12, width: 8, patch_size: 4 },
];

/**
 * rowloss (batch, patches) = mask * mean((pred - target)^2) of every patch, with L1 of |pred - target|; NORM normalises the target per patch:
 * (t - mean) / sqrt(var + 1e-6), unbiased, over all its pixels and channels. mask is 1 where a patch was removed.
 */
export const lossForward = defineKernel({
  name: 'loss.forward',
  variants: byPatch(forward, forwardQuads),
  options: { NORM: true, L1: false },
  shapes: (s) => ({
    img: [s.batch, s.chans, s.height, s.width],
    pred: [s.batch, patches(s), size(s)],
    mask: [s.batch, patches(s)],
    rowloss: [s.batch, patches(s)],
  }),
  moves: (s) => ({ img: MASKED * pixels(s), pred: MASKED * pixels(s) }),
  flops: (s) => (s.NORM ? 8 : 3) * pixels(s),
  reference: ref.forward,
  inputs: (s, rng) => ({ mask: bits(rows(s), rng) }),
  cases: errorCases,
});

/** loss = sum(rowloss) / sum(mask), 0 where nothing is masked; total (2) keeps loss and sum(mask) for backward. */
export const lossFinish = defineKernel({
  name: 'loss.finish',
  variants: {
    simt: sumByWorkgroup(finish, { grid: () => [1, 1, 1] }),
    cpu: sumBySubgroup(finish, {
      grid: () => [1, 1, 1],
      tune: (_, adapter) => subgroupThreads(adapter),
    }),
  },
  shapes: ({ count }) => ({ rowloss: [count], mask: [count], loss: [1], total: [2] }),
  flops: ({ count }) => 2 * count,
  reference: ref.finish,
  inputs: ({ count }, rng) => ({ mask: count === 7 ? new Float64Array(7) : bits(count, rng) }),
  cases: [{ count: 1 }, { count: 7 }, { count: 257 }, { count: 12544 }],
});

/** dpred of the loss for the gradient dloss (1); 0 where a patch was kept or nothing is masked. */
export const lossBackward = defineKernel({
  name: 'loss.backward',
  variants: byPatch(backward, backwardQuads),
  options: { NORM: true, L1: false },
  shapes: (s) => ({
    img: [s.batch, s.chans, s.height, s.width],
    pred: [s.batch, patches(s), size(s)],
    mask: [s.batch, patches(s)],
    total: [2],
    dloss: [1],
    dpred: [s.batch, patches(s), size(s)],
  }),
  moves: (s) => ({ img: MASKED * pixels(s), pred: MASKED * pixels(s) }),
  flops: (s) => (s.NORM ? 9 : 3) * pixels(s),
  reference: ref.backward,
  inputs: (s, rng) => {
    const mask = s.batch === 3 ? new Array<number>(rows(s)).fill(0) : bits(rows(s), rng);
    return { mask, total: [rng.uniform(), mask.reduce((a, b) => a + b, 0)] };
  },
  cases: errorCases,
});

/** The target alone, target (batch, patches, patch_size^2 * chans): for pictures and for comparing with others. */
export const lossTarget = defineKernel({
  name: 'loss.target',
  variants: byPatch(target),
  options: { NORM: true },
  shapes: (s) => ({ img: [s.batch, s.chans, s.height, s.width], targets: [s.batch, patches(s), size(s)] }),
  flops: (s) => (s.NORM ? 6 : 0) * pixels(s),
  reference: ref.target,
  cases,
});
