// SGD with momentum over flat slabs: every tensor of a model in one dispatch, its scalars on the GPU. LARS is this with a ratio.
import { fail } from '../errors.ts';
import { ADAMW_BLOCK } from '../adamw/adamw.ts';
import { defineKernel } from '../kernel.ts';
import { spread } from '../lib/spread.ts';
import * as ref from './sgd.ref.ts';
import update from './sgd.update.wgsl';

/**
 * One step in place on p, mu (n) with gradients g (n); group, groups and hyper (8) as in adamw.update, except hyper[1], the momentum.
 * With RATIO the gradient of tensor owner[i / 64] is multiplied by its ratio (lars.ratio). n must be a multiple of 64: slabs are.
 */
export const sgdUpdate = defineKernel({
  name: 'sgd.update',
  variants: spread(update),
  options: { NESTEROV: false, RATIO: false },
  inout: ['p', 'mu'],
  shapes: ({ n, groupCount, tensors, RATIO }) => {
    if (n % ADAMW_BLOCK) fail(`sgd.update: n must be a multiple of ${ADAMW_BLOCK}, got ${n}`);
    const blocks = n / ADAMW_BLOCK;
    return {
      p: [n],
      g: [n],
      mu: [n],
      group: [blocks],
      groups: [groupCount, 2],
      owner: RATIO ? [blocks] : null,
      ratio: RATIO ? [tensors] : null,
      hyper: [8],
    };
  },
  flops: ({ n, RATIO }) => (RATIO ? 8 : 7) * n,
  reference: ref.update,
  inputs: ({ n, groupCount, tensors, RATIO }, rng) => {
    const blocks = Array.from({ length: n / ADAMW_BLOCK }, (_, i) => i);
    return {
      group: blocks.map(() => rng.below(groupCount)),
      groups: Array.from({ length: 2 * groupCount }, () => rng.uniform()),
      hyper: [0.3, 0.9, 0, 0, 0, 0, 0.5, Number(groupCount === 2)],
      ...(RATIO ? { owner: blocks.map(() => rng.below(tensors)) } : {}),
    };
  },
  cases: [
    { n: 64, groupCount: 1, tensors: 1 },
    { n: 192, groupCount: 2, tensors: 1 },
    { n: 1024, groupCount: 3, tensors: 1, NESTEROV: true },
    { n: 4160, groupCount: 50, tensors: 7, RATIO: true },
    { n: 4160, groupCount: 1, tensors: 2, RATIO: true, NESTEROV: true },
  ],
});
