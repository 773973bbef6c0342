// Which patches the encoder sees: the order of random noise within each image (He et al. 2021, section 3.1).
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import guide from './argsort.guide.wgsl';
import maskSimt from './argsort.mask.wgsl';
import maskCpu from './argsort.mask.cpu.wgsl';
import * as ref from './argsort.ref.ts';

/** noise -> ids_shuffle = argsort(noise), ids_restore = argsort(ids_shuffle), ids_keep = its first `keep`, mask (1 = removed). */
export const argsortMask = defineKernel({
  name: 'argsort.mask',
  variants: {
    simt: variant(maskSimt, {
      grid: ({ batch }) => fold(batch),
      tune: ({ patches }) => ({ WG: patches <= 64 ? 64 : 256 }),
    }),
    cpu: variant(maskCpu, {
      grid: ({ batch, patches, SG }) => fold(batch * ceilDiv(patches, SG)),
      tune: (_, adapter) => ({ SG: adapter.subgroupMaxSize || 16 }),
    }),
  },
  shapes: ({ batch, patches, keep }) => ({
    noise: [batch, patches],
    ids_shuffle: [batch, patches],
    ids_restore: [batch, patches],
    ids_keep: [batch, keep],
    mask: [batch, patches],
  }),
  flops: ({ batch, patches }) => batch * patches * patches,
  reference: ref.mask,
  // Coarse noise, so that ties happen; and some of it negative.
  inputs: ({ batch, patches }, random) => ({
    noise: Float64Array.from({ length: batch * patches }, () => (random.below(2 * patches) - 3) / 1024),
  }),
  cases: [
    { batch: 1, patches: 1, keep: 1 },
    { batch: 3, patches: 7, keep: 0 },
    { batch: 2, patches: 17, keep: 17 },
    { batch: 5, patches: 64, keep: 16 },
    { batch: 4, patches: 196, keep: 49 },
    { batch: 3, patches: 257, keep: 64 },
    { batch: 1, patches: 1543, keep: 385 },
  ],
});

/**
 * guided = (1 - guidance) noise + guidance rank / patches, all (batch, patches): noise under which the patches of high rank (`ids_restore` of
 * a score) are likelier to be removed; guidance from 0, noise alone, to 1, rank alone.
 */
export const argsortGuide = defineKernel({
  name: 'argsort.guide',
  variants: {
    simt: variant(guide, {
      grid: ({ batch, patches, WG }) => fold(ceilDiv(batch * patches, WG)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  shapes: ({ batch, patches }) => ({
    noise: [batch, patches],
    rank: [batch, patches],
    guided: [batch, patches],
  }),
  flops: ({ batch, patches }) => 4 * batch * patches,
  reference: ref.guide,
  inputs: ({ batch, patches }, random) => ({
    rank: Array.from({ length: batch * patches }, () => random.below(patches)),
  }),
  cases: [
    { batch: 1, patches: 1, guidance: 0.5 },
    { batch: 3, patches: 7, guidance: 0 },
    { batch: 2, patches: 196, guidance: 1 },
    { batch: 5, patches: 65, guidance: 0.25 },
  ],
});
