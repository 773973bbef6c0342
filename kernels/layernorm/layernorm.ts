// Layer normalisation over the last dimension, optionally of a residual sum (Ba et al. 2016).
import { ceilDiv, defineKernel, fold, type Grid, type Profile, variant } from '../kernel.ts';
import { oneSubgroup, rowLanes, rowThreads } from '../lib/rows.ts';
import rowsum from '../lib/rowsum.wgsl';
import subgroupsum from '../lib/subgroupsum.wgsl';
import backward from './layernorm.backward.wgsl';
import forward from './layernorm.forward.wgsl';
import * as ref from './layernorm.ref.ts';

/** y = layernorm(x), or with ADD s = x + r and y = layernorm(s). Keeps mean and rstd of every row for backward. */
export const layernormForward = defineKernel({
  name: 'layernorm.forward',
  variants: {
    simt: variant(forward, {
      lib: [rowsum],
      grid: ({ rows }) => fold(rows),
      tune: ({ cols }) => ({ ...rowThreads(cols), R: 1 }),
    }),
    cpu: variant(oneSubgroup(forward), {
      lib: [subgroupsum],
      needs: ['subgroups'],
      grid: ({ rows, R }) => fold(ceilDiv(rows, R)),
      tune: ({ rows, cols }, adapter) => {
        const lanes = rowLanes(cols, adapter);
        return lanes && { ...lanes, R: ceilDiv(rows, 128) };
      },
    }),
  },
  options: { ADD: false },
  shapes: ({ rows, cols, ADD }) => ({
    x: [rows, cols],
    r: ADD ? [rows, cols] : null,
    w: [cols],
    b: [cols],
    s: ADD ? [rows, cols] : null,
    y: [rows, cols],
    stat: [rows, 2],
  }),
  flops: ({ rows, cols, ADD }) => (ADD ? 9 : 8) * rows * cols,
  reference: ref.forward,
  cases: [
    { rows: 1, cols: 1, eps: 1e-6 },
    { rows: 3, cols: 7, eps: 1e-6, ADD: true },
    { rows: 5, cols: 192, eps: 1e-6 },
    { rows: 17, cols: 260, eps: 1e-6, ADD: true },
    { rows: 3, cols: 515, eps: 1e-6 },
    { rows: 65537, cols: 5, eps: 1e-6 },
  ],
});

const chunks = ({ groups }: { groups: number }): Grid => fold(groups);

/**
 * dx of layernorm (with ADD plus ds, the gradient of the skip path), and partial sums dwb (groups, 2, cols) of the
 * gradients of w and b over `layernormGroups` chunks of rows: `reduce.columns` adds them up.
 */
export const layernormBackward = defineKernel({
  name: 'layernorm.backward',
  variants: {
    simt: variant(backward, { lib: [rowsum], grid: chunks, tune: ({ cols }) => rowThreads(cols) }),
    cpu: variant(oneSubgroup(backward), {
      lib: [subgroupsum],
      needs: ['subgroups'],
      grid: chunks,
      tune: ({ cols }, adapter) => rowLanes(cols, adapter),
    }),
  },
  options: { ADD: false },
  shapes: ({ rows, cols, groups, ADD }) => ({
    x: [rows, cols],
    w: [cols],
    stat: [rows, 2],
    dy: [rows, cols],
    ds: ADD ? [rows, cols] : null,
    dx: [rows, cols],
    dwb: [groups, 2, cols],
  }),
  flops: ({ rows, cols, ADD }) => (ADD ? 16 : 15) * rows * cols,
  reference: ref.backward,
  cases: [
    { rows: 1, cols: 1, groups: 1 },
    { rows: 7, cols: 5, groups: 3, ADD: true },
    { rows: 5, cols: 192, groups: 5 },
    { rows: 37, cols: 260, groups: 8, ADD: true },
    { rows: 9, cols: 64, groups: 7 },
    { rows: 3, cols: 515, groups: 2 },
  ],
});

/** Into how many chunks layernorm.backward cuts the rows: enough to fill the device, few enough to add up cheaply. */
export const layernormGroups = (rows: number, profile: Profile = 'simt'): number =>
  profile === 'cpu' ? Math.min(64, ceilDiv(rows, 8)) : Math.min(512, ceilDiv(rows, 4));
