// Batch normalisation without affine part: what the linear probe puts before its head.
import { fail } from '../errors.ts';
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import backward from './batchnorm.backward.wgsl';
import normalize from './batchnorm.normalize.wgsl';
import * as ref from './batchnorm.ref.ts';
import stats from './batchnorm.stats.wgsl';
import lib from './columns.wgsl';

type Sizes = ref.Sizes;
const tune = (_: unknown, adapter: AdapterTraits) => streamThreads(adapter);
const columns = ({ cols, TX }: { cols: number; TX: number }) => [ceilDiv(cols, TX), 1, 1] as const;
/** On software adapters a thread for a column, which needs no barrier. */
const alone = (_: unknown, adapter: AdapterTraits) => ({ TX: streamThreads(adapter).WG, TY: 1 });
const cases = [
  { rows: 2, cols: 1 },
  { rows: 7, cols: 5 },
  { rows: 33, cols: 67 },
  { rows: 512, cols: 192 },
  { rows: 2051, cols: 17 },
];
/** A mean far from 0: where one pass would lose the variance. */
const far = ({ rows, cols }: Sizes, rng: { normal(): number }) =>
  Array.from({ length: rows * cols }, () => 30 + rng.normal());
const spreads = (n: number, rng: { uniform(): number }) => Array.from({ length: n }, () => 0.5 + rng.uniform());

/** mean and biased variance (cols) of x (rows, cols), rows >= 2; running_mean and running_var (cols) follow by `momentum`. */
export const batchnormStats = defineKernel({
  name: 'batchnorm.stats',
  variants: {
    simt: variant(stats, { lib: [lib], grid: columns }),
    cpu: variant(stats, { lib: [lib], grid: columns, tune: alone }),
  },
  inout: ['running_mean', 'running_var'],
  shapes: ({ rows, cols }) => {
    if (rows < 2) fail(`batchnorm.stats: rows must be at least 2, got ${rows}`);
    return { x: [rows, cols], running_mean: [cols], running_var: [cols], mean: [cols], variance: [cols] };
  },
  flops: ({ rows, cols }) => 4 * rows * cols,
  reference: ref.stats,
  inputs: (sizes, rng) => ({ x: far(sizes, rng) }),
  cases: cases.map((c) => ({ ...c, momentum: 0.1 })),
});

/** y (rows, cols) = (x - mean) / sqrt(variance + eps). */
export const batchnormNormalize = defineKernel({
  name: 'batchnorm.normalize',
  variants: { simt: variant(normalize, { grid: ({ rows, cols, WG }) => fold(ceilDiv(rows * cols, WG)), tune }) },
  shapes: ({ rows, cols }) => ({ x: [rows, cols], mean: [cols], variance: [cols], y: [rows, cols] }),
  flops: ({ rows, cols }) => 4 * rows * cols,
  reference: ref.normalize,
  inputs: ({ cols }, rng) => ({ variance: spreads(cols, rng) }),
  cases: cases.map((c) => ({ ...c, eps: 1e-6 })),
});

/** dx (rows, cols) of batchnorm.normalize; FIXED: mean and variance do not depend on x. */
export const batchnormBackward = defineKernel({
  name: 'batchnorm.backward',
  variants: {
    simt: variant(backward, { lib: [lib], grid: columns }),
    cpu: variant(backward, { lib: [lib], grid: columns, tune: alone }),
  },
  options: { FIXED: false },
  shapes: ({ rows, cols }) => ({ x: [rows, cols], mean: [cols], variance: [cols], dy: [rows, cols], dx: [rows, cols] }),
  flops: ({ rows, cols }) => 10 * rows * cols,
  reference: ref.backward,
  inputs: ({ cols }, rng) => ({ variance: spreads(cols, rng) }),
  cases: cases.flatMap((c) => [
    { ...c, eps: 1e-6 },
    { ...c, eps: 1e-6, FIXED: true },
  ]),
});
