// Layer normalisation over the last dimension, optionally of a residual sum (Ba et al. 2016).
import { type AdapterTraits, ceilDiv, defineKernel, fold, type Grid, type Profile, type Variant } from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import { looped, rowLanes, rowLoops, rowThreads, sumBySubgroup, sumByWorkgroup } from '../lib/rows.ts';
import backward from './layernorm.backward.wgsl';
import forward from './layernorm.forward.wgsl';
import * as ref from './layernorm.ref.ts';

const rowBlocks = ({ rows, R }: { rows: number; R: number }): Grid => fold(ceilDiv(rows, R));
const chunks = ({ groups }: { groups: number }): Grid => fold(groups);

interface Row {
  rows: number;
  cols: number;
  VECTOR: number;
}
const single = ({ cols }: Row) => rowThreads(cols);
/** Whole subgroups, at most 256 threads, none of them idle, by vectors a thread: one at 512 and 768 columns. */
function wholeRows({ cols }: Row, { features, subgroupMaxSize }: AdapterTraits) {
  const vectors = cols / 4;
  const counts = features.has('subgroups') ? [1, 2, 3, 4, 5, 6, 7, 8] : [];
  return counts
    .map((PER) => ({ WG: vectors / PER, PER, WHOLE: true }))
    .filter(({ WG }) => WG <= 256 && WG % subgroupMaxSize === 0);
}
const threads = (row: Row, adapter: AdapterTraits) => wholeRows(row, adapter)[0] ?? rowThreads(row.cols, 4);
/** Few threads with several vectors wait less for sums, and keep more loads under way where there is one a vector: 64 at 512 and 768 columns. */
const fewThreads = (row: Row, adapter: AdapterTraits) =>
  wholeRows(row, adapter)
    .filter(({ WG, PER }) => WG >= 64 && PER <= 4)
    .at(-1) ?? threads(row, adapter);
/** Forward: two rows at once; with a residual a vector has two loads, and many threads were as fast. */
const twoRows = (row: Row & { ADD: boolean }, adapter: AdapterTraits) => {
  const knobs = row.ADD ? threads(row, adapter) : fewThreads(row, adapter);
  return knobs && 'WHOLE' in knobs ? { ...knobs, R: 2, AT_ONCE: 2 } : knobs;
};
type Lanes = typeof rowLanes;
const lanes =
  (of: Lanes) =>
  ({ cols, VECTOR }: Row, adapter: AdapterTraits) => {
    const knobs = of(cols, adapter, VECTOR);
    return knobs && { ...knobs, AHEAD: false };
  };
/** A subgroup takes many rows, so that w and b are loaded seldom: a power of two, so that near sizes share a program. */
const rowsInTurn = (of: Lanes) => (row: Row, adapter: AdapterTraits) => {
  const knobs = lanes(of)(row, adapter);
  return knobs && { ...knobs, R: 2 ** Math.floor(Math.log2(Math.max(1, row.rows / 128))) };
};

type Text = { readonly text: string; readonly knobs: { VECTOR: number; WG: number; PER: number } };
type Rewrite = <W extends Text>(wgsl: W) => W;

/** On software adapters: quads in registers, else quads in a loop, else single elements in registers, else these in a loop. */
function inOrder(make: (rewrite: Rewrite, of: Lanes, otherwise?: Variant) => Variant): Variant {
  const both = (rewrite: Rewrite, otherwise?: Variant): Variant =>
    make(
      rewrite,
      rowLanes,
      make((wgsl) => looped(rewrite(wgsl)), rowLoops, otherwise),
    );
  return both((wgsl) => wgsl, both(oneByOne));
}

/**
 * y = layernorm(x), or with ADD s = x + r and y = layernorm(s). Keeps mean and rstd of every row for
 * backward. With HALF y is f16.
 */
export const layernormForward = defineKernel({
  name: 'layernorm.forward',
  variants: {
    simt: sumByWorkgroup(forward, {
      grid: rowBlocks,
      tune: twoRows,
      candidates: wholeRows,
      otherwise: sumByWorkgroup(oneByOne(forward), { grid: rowBlocks, tune: single }),
    }),
    cpu: inOrder((rewrite, of, otherwise) =>
      sumBySubgroup(rewrite(forward), { grid: rowBlocks, tune: rowsInTurn(of), otherwise }),
    ),
  },
  options: { ADD: false, HALF: false },
  half: { y: 'HALF' },
  shapes: ({ rows, cols, ADD }) => ({
    x: [rows, cols],
    r: ADD ? [rows, cols] : null,
    w: [cols],
    b: [cols],
    s: ADD ? [rows, cols] : null,
    y: [rows, cols],
    stat: [rows, 2],
  }),
  sizes: ['rows', 'cols'],
  flops: ({ rows, cols, ADD }) => (ADD ? 9 : 8) * rows * cols,
  reference: ref.forward,
  cases: [
    { rows: 1, cols: 1, eps: 1e-6 },
    { rows: 3, cols: 7, eps: 1e-6, ADD: true },
    { rows: 5, cols: 192, eps: 1e-6 },
    { rows: 17, cols: 260, eps: 1e-6, ADD: true },
    { rows: 3, cols: 261, eps: 1e-6, ADD: true },
    { rows: 2, cols: 2052, eps: 1e-6, ADD: true },
    { rows: 3, cols: 4, eps: 1e-6, HALF: true },
    { rows: 131, cols: 132, eps: 1e-6, ADD: true, HALF: true },
    { rows: 65537, cols: 5, eps: 1e-6 },
  ],
});

/**
 * dx of layernorm (with ADD plus ds, the gradient of the skip path), and partial sums (groups, 2, cols) of the gradients of
 * w and b over `layernormGroups` chunks of rows, with SUM (groups, 3, cols), the third those of dx: `reduce.columns` adds them up. With HALF dy is
 * f16.
 */
export const layernormBackward = defineKernel({
  name: 'layernorm.backward',
  variants: {
    simt: sumByWorkgroup(backward, {
      grid: chunks,
      tune: fewThreads,
      candidates: wholeRows,
      otherwise: sumByWorkgroup(oneByOne(backward), { grid: chunks, tune: single }),
    }),
    cpu: inOrder((rewrite, of, otherwise) =>
      sumBySubgroup(rewrite(backward), { grid: chunks, tune: lanes(of), otherwise }),
    ),
  },
  options: { ADD: false, HALF: false, SUM: false },
  half: { dy: 'HALF' },
  shapes: ({ rows, cols, groups, ADD, SUM }) => ({
    x: [rows, cols],
    w: [cols],
    stat: [rows, 2],
    dy: [rows, cols],
    ds: ADD ? [rows, cols] : null,
    dx: [rows, cols],
    sums: [groups, SUM ? 3 : 2, cols],
  }),
  sizes: ['rows', 'cols'],
  flops: ({ rows, cols, ADD, SUM }) => ((ADD ? 16 : 15) + (SUM ? 1 : 0)) * rows * cols,
  reference: ref.backward,
  cases: [
    { rows: 1, cols: 1, groups: 1 },
    { rows: 7, cols: 5, groups: 3, ADD: true },
    { rows: 5, cols: 192, groups: 5 },
    { rows: 37, cols: 260, groups: 8, ADD: true },
    { rows: 9, cols: 64, groups: 7 },
    { rows: 3, cols: 261, groups: 2, ADD: true },
    { rows: 5, cols: 2052, groups: 2, ADD: true },
    { rows: 3, cols: 4, groups: 2, HALF: true },
    { rows: 67, cols: 132, groups: 9, ADD: true, HALF: true },
    { rows: 7, cols: 5, groups: 3, SUM: true },
    { rows: 67, cols: 132, groups: 9, ADD: true, HALF: true, SUM: true },
    { rows: 41, cols: 768, groups: 11, ADD: true, SUM: true },
    { rows: 5, cols: 2052, groups: 2, ADD: true, SUM: true },
  ],
});

/**
 * Into how many chunks layernorm.backward cuts the rows: enough to fill the device (8 for each of an H200's 132 processors),
 * few enough to add up cheaply.
 */
export const layernormGroups = (rows: number, profile: Profile = 'simt'): number =>
  profile === 'cpu' ? Math.min(64, ceilDiv(rows, 8)) : Math.min(1056, ceilDiv(rows, 4));
