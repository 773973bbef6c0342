// Cross-entropy of classes against probabilities, which one-hot, smoothed and mixed labels all are.
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import { sumByWorkgroup } from '../lib/rows.ts';
import backward from './crossentropy.backward.wgsl';
import forward from './crossentropy.forward.wgsl';
import * as ref from './crossentropy.ref.ts';
import targets from './crossentropy.targets.wgsl';

interface Sizes {
  rows: number;
  classes: number;
}
const elements = ({ rows, classes, WG }: Sizes & { WG: number }) => fold(ceilDiv(rows * classes, WG));
const tune = (_: unknown, adapter: AdapterTraits) => streamThreads(adapter);
const sizes = [
  { rows: 1, classes: 1 },
  { rows: 3, classes: 10 },
  { rows: 7, classes: 65 },
  { rows: 5, classes: 1000 },
];

/**
 * targets (rows, classes) from labels (rows), -1 for none: smoothed by `smoothing`; with MIX, lambda (1) of them and 1 - lambda of the
 * partner's (rows), as timm's mixup_target.
 */
export const crossentropyTargets = defineKernel({
  name: 'crossentropy.targets',
  variants: { simt: variant(targets, { grid: elements, tune }) },
  options: { MIX: false },
  shapes: ({ rows, classes, MIX }) => ({
    labels: [rows],
    partner: MIX ? [rows] : null,
    lambda: MIX ? [1] : null,
    targets: [rows, classes],
  }),
  flops: ({ rows, classes }) => 3 * rows * classes,
  reference: ref.targets,
  inputs: ({ rows, classes, MIX }, rng) => {
    const classesOf = () => Array.from({ length: rows }, (_, i) => (i === 1 ? -1 : rng.below(classes)));
    return { labels: classesOf(), ...(MIX ? { partner: classesOf(), lambda: [rng.uniform()] } : {}) };
  },
  cases: sizes.flatMap((s, i) => [
    { ...s, smoothing: i % 2 ? 0.1 : 0 },
    { ...s, smoothing: 0.1, MIX: true },
  ]),
});

/** losses (rows), lse (rows) and mass (rows, the sums of targets) of logits and targets (rows, classes). */
export const crossentropyForward = defineKernel({
  name: 'crossentropy.forward',
  variants: { simt: sumByWorkgroup(forward, { grid: ({ rows }) => fold(rows) }) },
  shapes: ({ rows, classes }) => ({
    logits: [rows, classes],
    targets: [rows, classes],
    losses: [rows],
    lse: [rows],
    mass: [rows],
  }),
  flops: ({ rows, classes }) => 8 * rows * classes,
  reference: ref.forward,
  inputs: probabilities,
  cases: sizes,
});

/** dlogits (rows, classes) of the mean loss, whose gradient is dloss (1). */
export const crossentropyBackward = defineKernel({
  name: 'crossentropy.backward',
  variants: { simt: variant(backward, { grid: elements, tune }) },
  shapes: ({ rows, classes }) => ({
    logits: [rows, classes],
    targets: [rows, classes],
    lse: [rows],
    mass: [rows],
    dloss: [1],
    dlogits: [rows, classes],
  }),
  flops: ({ rows, classes }) => 5 * rows * classes,
  reference: ref.backward,
  inputs: ({ rows, classes }, rng) => {
    // The log-sum-exp that forward would give: another one would make any probability of it.
    const logits = Array.from({ length: rows * classes }, () => rng.normal());
    const lse = Array.from({ length: rows }, (_, row) =>
      Math.log(logits.slice(row * classes, (row + 1) * classes).reduce((sum, x) => sum + Math.exp(x), 0)),
    );
    return { logits, lse };
  },
  cases: sizes,
});

/** Logits that differ by tens, one of them by hundreds, and targets that are no probabilities at all in one row. */
function probabilities({ rows, classes }: Sizes, rng: { normal(): number; uniform(): number }) {
  const n = rows * classes;
  return {
    logits: Array.from({ length: n }, (_, i) => (i === 1 ? 200 : 5 * rng.normal())),
    targets: Array.from({ length: n }, (_, i) => (i < classes ? 0 : rng.uniform() / classes)),
  };
}
