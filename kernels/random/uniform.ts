// Random numbers on the GPU, pure functions of (seed, stream, epoch, sample, place): no batch split changes them.
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import philox from '../lib/philox.wgsl';
import type { Random } from './random.ts';
import * as ref from './random.ref.ts';
import uniform from './random.uniform.wgsl';

/** Test inputs for ids and clock: any words at all. */
export const anyWords = (rng: Random, n: number): Uint32Array =>
  Uint32Array.from({ length: n }, () => rng.below(2 ** 32));

/**
 * out (samples, n) from U[0, 1) with 24 bits. ids (samples) are the samples' numbers in the data set, clock is
 * (epoch, step); key (seed, stream), counter (j / 4, id, epoch, 0).
 */
export const randomUniform = defineKernel({
  name: 'random.uniform',
  variants: {
    simt: variant(uniform, {
      lib: [philox],
      grid: (s) => fold(ceilDiv(s.samples * ceilDiv(s.n, 4), s.WG)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  shapes: ({ samples, n }) => ({ ids: [samples], clock: [2], out: [samples, n] }),
  flops: () => 0,
  reference: ref.uniform,
  inputs: ({ samples }, rng) => ({ ids: anyWords(rng, samples), clock: anyWords(rng, 2) }),
  tolerance: 0,
  cases: [
    { samples: 1, n: 1, seed: 0, stream: 0 },
    { samples: 3, n: 7, seed: 2 ** 32 - 1, stream: 5 },
    { samples: 5, n: 196, seed: 42, stream: 1 },
    { samples: 2, n: 257, seed: 3, stream: 2 ** 31 },
  ],
});
