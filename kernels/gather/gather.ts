// Token handling of MAE: the encoder's tokens, the decoder's tokens with mask tokens filled in, and rows by index.
// Backward passes gather by the inverse order, so that every element has one owner (no atomics).
import {
  type AdapterTraits,
  type BindingTypes,
  ceilDiv,
  defineKernel,
  fold,
  type Grid,
  type ParamTypes,
  variant,
  type Wgsl,
} from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import type { Random } from '../random/random.ts';
import { streamThreads } from '../lib/lanes.ts';
import * as ref from './gather.ref.ts';
import dcls from './gather.dcls.wgsl';
import dembed from './gather.dembed.wgsl';
import dmask from './gather.dmask.wgsl';
import dpos from './gather.dpos.wgsl';
import drestore from './gather.drestore.wgsl';
import drows from './gather.drows.wgsl';
import embed from './gather.embed.wgsl';
import restore from './gather.restore.wgsl';
import rows from './gather.rows.wgsl';

const tune = (_: unknown, adapter: AdapterTraits) => streamThreads(adapter);

/** Rows in vectors of 4 columns where they divide; on software adapters, where a load of a vector is four, one by one. */
function byVectors<B extends BindingTypes, P extends ParamTypes & { dim: 'u32' }>(
  wgsl: Wgsl<B, P, { VECTOR: number; WG: number }>,
  grid: (problem: { [N in keyof P]: number }) => Grid,
) {
  const single = variant(oneByOne(wgsl), { grid, tune });
  const simt = variant(wgsl, {
    grid,
    tune: ({ dim }) => (dim % 4 ? null : { WG: 64 }),
    otherwise: single,
  });
  return { simt, cpu: single };
}

const sumGrid = ({ groups, dim, VECTOR, TX }: { groups: number; dim: number; VECTOR: number; TX: number }): Grid =>
  fold(groups * ceilDiv(dim, VECTOR * TX));
const sums = {
  simt: variant(dmask, {
    grid: sumGrid,
    tune: ({ dim }) => (dim % 4 ? null : {}),
    otherwise: variant(oneByOne(dmask), { grid: sumGrid, tune: () => ({ TX: 32, TY: 8 }) }),
  }),
  // No barrier is left with TY = 1.
  cpu: variant(oneByOne(dmask), { grid: sumGrid, tune: (_, adapter) => ({ TX: adapter.subgroupMaxSize, TY: 1 }) }),
};

/** A random order of [0, n) for every image, cut to its first `count`. */
function orders(batch: number, n: number, count: number, random: Random): number[] {
  return Array.from({ length: batch }, () => {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order.slice(0, count);
  }).flat();
}

const cases = [
  { batch: 1, patches: 1, keep: 1, dim: 1 },
  { batch: 3, patches: 7, keep: 0, dim: 5 },
  { batch: 2, patches: 13, keep: 13, dim: 67 },
  { batch: 5, patches: 16, keep: 4, dim: 192 },
  { batch: 3, patches: 49, keep: 12, dim: 260 },
];
const grouped = [
  { batch: 1, patches: 1, keep: 1, dim: 1, groups: 1 },
  { batch: 3, patches: 7, keep: 0, dim: 5, groups: 5 },
  { batch: 7, patches: 13, keep: 3, dim: 67, groups: 3 },
  { batch: 5, patches: 16, keep: 4, dim: 192, groups: 1 },
];
const rowCases = [
  { batch: 1, rows: 1, count: 1, dim: 1 },
  { batch: 3, rows: 9, count: 4, dim: 7 },
  { batch: 2, rows: 21, count: 21, dim: 130 },
  { batch: 3, rows: 11, count: 5, dim: 260 },
];

/** The encoder's input: cls token and kept patches, positions added. */
export const gatherEmbed = defineKernel({
  name: 'gather.embed',
  variants: byVectors(embed, ({ batch, keep }) => fold(batch * (1 + keep))),
  shapes: ({ batch, patches, keep, dim }) => ({
    emb: [batch, keep, dim],
    pos: [1 + patches, dim],
    cls: [dim],
    ids_keep: [batch, keep],
    x: [batch, 1 + keep, dim],
  }),
  flops: ({ batch, keep, dim }) => batch * (1 + keep) * dim,
  reference: ref.embed,
  inputs: ({ batch, patches, keep }, random) => ({ ids_keep: orders(batch, patches, keep, random) }),
  cases,
});

/** Gradient of gather.embed's patches. */
export const gatherDembed = defineKernel({
  name: 'gather.dembed',
  variants: byVectors(dembed, ({ batch, keep }) => fold(Math.max(1, batch * keep))),
  shapes: ({ batch, keep, dim }) => ({ dx: [batch, 1 + keep, dim], demb: [batch, keep, dim] }),
  moves: ({ batch, keep, dim }) => ({ dx: batch * keep * dim }),
  flops: () => 0,
  reference: ref.dembed,
  cases: cases.map(({ batch, keep, dim }) => ({ batch, keep, dim })),
});

/** Groups for so many images, each of `most` at most, as long as there are no more than 64: their sums are added by one more pass. */
const groupsOf = (batch: number, most: number): number => Math.max(1, Math.min(64, Math.ceil(batch / most)));
/** How many groups of images gather.dcls sums: one row of each image. */
export const dclsGroups = (batch: number): number => groupsOf(batch, 16);
/** How many gather.dmask sums: all removed patches of each image. */
export const dmaskGroups = (batch: number): number => groupsOf(batch, 4);

/** Partial sums (groups, dim) of the cls token's gradient over the batch; with one group it is the gradient itself. */
export const gatherDcls = defineKernel({
  name: 'gather.dcls',
  variants: { simt: variant(dcls, { grid: ({ groups, dim, WG }) => fold(groups * ceilDiv(dim, WG)), tune }) },
  shapes: ({ batch, keep, dim, groups }) => ({ dx: [batch, 1 + keep, dim], dcls: [groups, dim] }),
  moves: ({ batch, dim }) => ({ dx: batch * dim }),
  flops: ({ batch, dim }) => batch * dim,
  reference: ref.dcls,
  cases: grouped.map(({ batch, keep, dim, groups }) => ({ batch, keep, dim, groups })),
});

/** Gradient of gather.embed's position embeddings, where they are learned. */
export const gatherDpos = defineKernel({
  name: 'gather.dpos',
  variants: { simt: variant(dpos, { grid: ({ patches }) => fold(1 + patches), tune }) },
  shapes: ({ batch, patches, keep, dim }) => ({
    dx: [batch, 1 + keep, dim],
    ids_restore: [batch, patches],
    dpos: [1 + patches, dim],
  }),
  flops: ({ batch, keep, dim }) => batch * (1 + keep) * dim,
  reference: ref.dpos,
  inputs: ({ batch, patches }, random) => ({ ids_restore: orders(batch, patches, patches, random) }),
  cases,
});

/** The decoder's input: tokens back in their places, the mask token where a patch was removed, positions added. */
export const gatherRestore = defineKernel({
  name: 'gather.restore',
  variants: byVectors(restore, ({ batch, patches }) => fold(batch * (1 + patches))),
  shapes: ({ batch, patches, keep, dim }) => ({
    y: [batch, 1 + keep, dim],
    mask_token: [dim],
    pos: [1 + patches, dim],
    ids_restore: [batch, patches],
    x: [batch, 1 + patches, dim],
  }),
  flops: ({ batch, patches, dim }) => batch * (1 + patches) * dim,
  reference: ref.restore,
  inputs: ({ batch, patches }, random) => ({ ids_restore: orders(batch, patches, patches, random) }),
  cases,
});

/** Gradient of gather.restore's tokens. */
export const gatherDrestore = defineKernel({
  name: 'gather.drestore',
  variants: byVectors(drestore, ({ batch, keep }) => fold(batch * (1 + keep))),
  shapes: ({ batch, patches, keep, dim }) => ({
    dx: [batch, 1 + patches, dim],
    ids_shuffle: [batch, patches],
    dy: [batch, 1 + keep, dim],
  }),
  moves: ({ batch, keep, dim }) => ({ dx: batch * (1 + keep) * dim }),
  flops: () => 0,
  reference: ref.drestore,
  inputs: ({ batch, patches }, random) => ({ ids_shuffle: orders(batch, patches, patches, random) }),
  cases,
});

/** Partial sums (groups, dim) of the mask token's gradient over the removed patches of the batch. */
export const gatherDmask = defineKernel({
  name: 'gather.dmask',
  variants: sums,
  shapes: ({ batch, patches, dim, groups }) => ({
    dx: [batch, 1 + patches, dim],
    ids_shuffle: [batch, patches],
    dmask_token: [groups, dim],
  }),
  moves: ({ batch, patches, keep, dim }) => ({ dx: batch * (patches - keep) * dim }),
  flops: ({ batch, patches, keep, dim }) => batch * (patches - keep) * dim,
  reference: ref.dmask,
  inputs: ({ batch, patches }, random) => ({ ids_shuffle: orders(batch, patches, patches, random) }),
  cases: grouped,
});

/** y[b, j] = x[b, ids[b, j]]. */
export const gatherRows = defineKernel({
  name: 'gather.rows',
  variants: byVectors(rows, ({ batch, count }) => fold(batch * count)),
  shapes: ({ batch, rows, count, dim }) => ({ x: [batch, rows, dim], ids: [batch, count], y: [batch, count, dim] }),
  moves: ({ batch, rows, count, dim }) => ({ x: batch * Math.min(rows, count) * dim }),
  flops: () => 0,
  reference: ref.rows,
  inputs: ({ batch, rows, count }, random) => ({
    ids: Uint32Array.from({ length: batch * count }, () => random.below(rows)),
  }),
  cases: rowCases,
});

/** Gradient of gather.rows for ids distinct within an image; `inverse` says which output took row i, or >= count. */
export const gatherDrows = defineKernel({
  name: 'gather.drows',
  variants: byVectors(drows, ({ batch, rows }) => fold(batch * rows)),
  shapes: ({ batch, rows, count, dim }) => ({
    dy: [batch, count, dim],
    inverse: [batch, rows],
    dx: [batch, rows, dim],
  }),
  moves: ({ batch, rows, count, dim }) => ({ dy: batch * Math.min(rows, count) * dim }),
  flops: () => 0,
  reference: ref.drows,
  inputs: ({ batch, rows }, random) => ({ inverse: orders(batch, rows, rows, random) }),
  cases: rowCases,
});
