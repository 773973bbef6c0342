// One number in, one number out: sums, scalings, GELU, dropout. What can be fused into a GEMM is (gemm's epilogues).
import { fail } from '../errors.ts';
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import erf from '../lib/erf.wgsl';
import philox from '../lib/philox.wgsl';
import { streamThreads } from '../lib/lanes.ts';
import { spread } from '../lib/spread.ts';
import type { Random } from '../random/random.ts';
import { anyWords } from '../random/uniform.ts';
import add from './elementwise.add.wgsl';
import axpy from './elementwise.axpy.wgsl';
import cast from './elementwise.cast.wgsl';
import copy from './elementwise.copy.wgsl';
import dgelu from './elementwise.dgelu.wgsl';
import drelu from './elementwise.drelu.wgsl';
import dropout from './elementwise.dropout.wgsl';
import droppath from './elementwise.droppath.wgsl';
import fill from './elementwise.fill.wgsl';
import gelu from './elementwise.gelu.wgsl';
import lerp from './elementwise.lerp.wgsl';
import mul from './elementwise.mul.wgsl';
import * as ref from './elementwise.ref.ts';
import relu from './elementwise.relu.wgsl';
import scale from './elementwise.scale.wgsl';

/** Wide enough to reach both tails of the normal distribution. */
const wide = ({ n }: { n: number }, rng: Random) => ({ x: Array.from({ length: n }, () => 4 * rng.normal()) });
const cases = [{ n: 1 }, { n: 5 }, { n: 1023 }, { n: 1028 }, { n: 4099 }, { n: 4100 }];

/** y = a + b, all (n). */
export const elementwiseAdd = defineKernel({
  name: 'elementwise.add',
  variants: spread(add),
  shapes: ({ n }) => ({ a: [n], b: [n], y: [n] }),
  flops: ({ n }) => n,
  reference: ref.add,
  cases,
});

/** y = a b, all (n): gates, and their gradients. */
export const elementwiseMul = defineKernel({
  name: 'elementwise.mul',
  variants: spread(mul),
  shapes: ({ n }) => ({ a: [n], b: [n], y: [n] }),
  flops: ({ n }) => n,
  reference: ref.mul,
  cases,
});

/** y = max(x, 0), both (n); of a NaN it is NaN. */
export const elementwiseRelu = defineKernel({
  name: 'elementwise.relu',
  variants: spread(relu),
  shapes: ({ n }) => ({ x: [n], y: [n] }),
  flops: ({ n }) => n,
  reference: ref.relu,
  cases,
});

/** dx = 0 where x <= 0, else dy, all (n): at 0 it is 0, and of a NaN it is dy, as torch has it. */
export const elementwiseDrelu = defineKernel({
  name: 'elementwise.drelu',
  variants: spread(drelu),
  shapes: ({ n }) => ({ x: [n], dy: [n], dx: [n] }),
  flops: ({ n }) => n,
  reference: ref.drelu,
  inputs: ({ n }, rng) => ({ x: Array.from({ length: n }, (_, i) => (i % 5 ? rng.normal() : 0)) }),
  cases,
});

/** y (n) = x (n) * s (1), a factor that the GPU computed. */
export const elementwiseScale = defineKernel({
  name: 'elementwise.scale',
  variants: spread(scale),
  shapes: ({ n }) => ({ x: [n], s: [1], y: [n] }),
  flops: ({ n }) => n,
  reference: ref.scale,
  cases,
});

/** y (n) += s * x (n), in place, for a factor known when planning. */
export const elementwiseAxpy = defineKernel({
  name: 'elementwise.axpy',
  variants: spread(axpy),
  inout: ['y'],
  shapes: ({ n }) => ({ x: [n], y: [n] }),
  flops: ({ n }) => 2 * n,
  reference: ref.axpy,
  cases: cases.map((c, i) => ({ ...c, s: [1, -0.5, 0.25, 0, 3, 0.3][i] })),
});

/** y (n) += s * (x (n) - y), in place: moving averages. */
export const elementwiseLerp = defineKernel({
  name: 'elementwise.lerp',
  variants: spread(lerp),
  inout: ['y'],
  shapes: ({ n }) => ({ x: [n], y: [n] }),
  flops: ({ n }) => 3 * n,
  reference: ref.lerp,
  cases: cases.map((c, i) => ({ ...c, s: [1, 0.5, 0.25, 0.1, 1e-4, 0][i] })),
});

/** y = gelu(x) = x Phi(x), both (n) (Hendrycks & Gimpel 2016, the exact form). */
export const elementwiseGelu = defineKernel({
  name: 'elementwise.gelu',
  variants: spread(gelu, [erf]),
  shapes: ({ n }) => ({ x: [n], y: [n] }),
  flops: ({ n }) => 26 * n,
  reference: ref.gelu,
  inputs: wide,
  cases,
});

/** dx = dy * gelu'(x), all (n). */
export const elementwiseDgelu = defineKernel({
  name: 'elementwise.dgelu',
  variants: spread(dgelu, [erf]),
  shapes: ({ n }) => ({ x: [n], dy: [n], dx: [n] }),
  flops: ({ n }) => 29 * n,
  reference: ref.dgelu,
  inputs: wide,
  cases,
});

/** y = x, both (n). (A dispatch stays inside the compute pass; copyBufferToBuffer would end it.) */
export const elementwiseCopy = defineKernel({
  name: 'elementwise.copy',
  variants: spread(copy),
  shapes: ({ n }) => ({ x: [n], y: [n] }),
  flops: () => 0,
  reference: ref.copy,
  cases,
});

/** y = x, both (n), n a multiple of 4, in another storage: X16 and Y16 say which of them is f16. */
export const elementwiseCast = defineKernel({
  name: 'elementwise.cast',
  variants: {
    simt: variant(cast, {
      grid: ({ n, WG, PER }) => fold(ceilDiv(n, 4 * WG * PER)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  options: { X16: false, Y16: false },
  half: { x: 'X16', y: 'Y16' },
  shapes: ({ n }) => {
    if (n % 4) fail(`elementwise.cast: n must be a multiple of 4, got ${n}`);
    return { x: [n], y: [n] };
  },
  flops: () => 0,
  reference: ref.copy,
  cases: [
    { n: 4, Y16: true },
    { n: 1028, X16: true },
    { n: 4100, Y16: true },
    { n: 12, X16: true, Y16: true },
  ],
});

/** y (n) = value. */
export const elementwiseFill = defineKernel({
  name: 'elementwise.fill',
  variants: spread(fill),
  shapes: ({ n }) => ({ y: [n] }),
  flops: () => 0,
  reference: ref.fill,
  cases: cases.map((c) => ({ ...c, value: 1.5 })),
});

/**
 * Dropout of x (samples, n) at `rate`; its own backward. The mask depends on (seed, stream), the samples' ids and the
 * epoch in clock, so neither batch split nor resuming changes it.
 */
export const elementwiseDropout = defineKernel({
  name: 'elementwise.dropout',
  variants: {
    simt: variant(dropout, {
      lib: [philox],
      grid: (s) => fold(ceilDiv(s.samples * ceilDiv(s.n, 4), s.WG)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  shapes: ({ samples, n }) => ({ x: [samples, n], ids: [samples], clock: [2], y: [samples, n] }),
  flops: ({ samples, n }) => samples * n,
  reference: ref.dropout,
  inputs: ({ samples }, rng) => ({ ids: anyWords(rng, samples), clock: anyWords(rng, 2) }),
  cases: [
    { samples: 1, n: 1, rate: 0.5, seed: 1, stream: 1 },
    { samples: 3, n: 7, rate: 0.1, seed: 2 ** 32 - 1, stream: 9 },
    { samples: 5, n: 258, rate: 0.9, seed: 5, stream: 2 },
    { samples: 2, n: 12, rate: 0, seed: 5, stream: 2 },
  ],
});

/**
 * Stochastic depth of a branch x (samples, n) beside its residual r (samples, n): whole samples drop out of it at `rate`. Without SUM, the
 * gradient of x from that of y. Keyed as dropout is.
 */
export const elementwiseDroppath = defineKernel({
  name: 'elementwise.droppath',
  variants: {
    simt: variant(droppath, {
      lib: [philox],
      grid: (s) => fold(ceilDiv(s.samples * s.n, s.WG)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  options: { SUM: true },
  shapes: ({ samples, n, SUM }) => ({
    x: [samples, n],
    r: SUM ? [samples, n] : null,
    ids: [samples],
    clock: [2],
    y: [samples, n],
  }),
  flops: ({ samples, n }) => 2 * samples * n,
  reference: ref.droppath,
  inputs: ({ samples }, rng) => ({ ids: anyWords(rng, samples), clock: anyWords(rng, 2) }),
  cases: [
    { samples: 1, n: 1, rate: 0.5, seed: 1, stream: 1 },
    { samples: 13, n: 7, rate: 0.3, seed: 2 ** 32 - 1, stream: 9 },
    { samples: 9, n: 258, rate: 0.6, seed: 5, stream: 2, SUM: false },
    { samples: 2, n: 12, rate: 0, seed: 5, stream: 2 },
  ],
});
