// Patchify and unpatchify: images to rows of patch pixels and back, any height x width, channels and patch that divides.
import { fail } from '../errors.ts';
import { type AdapterTraits, defineKernel, fold, variant } from '../kernel.ts';
import { oneByOne } from '../lib/elements.ts';
import { streamThreads } from '../lib/lanes.ts';
import backward from './patch.backward.wgsl';
import forward from './patch.forward.wgsl';
import * as ref from './patch.ref.ts';

type Sizes = Pick<ref.Sizes, 'height' | 'width' | 'patch_size'>;

function patchesOf({ height, width, patch_size }: Sizes): number {
  if (height % patch_size || width % patch_size) {
    fail(`patch: patch_size ${patch_size} must divide height and width, got ${height} x ${width}`);
  }
  return (height / patch_size) * (width / patch_size);
}

/** How many rows come out: `count`, which with ALL must be every patch. */
function rowsOf({ count, ALL, ...sizes }: Sizes & { count: number; ALL: boolean }): number {
  const patches = patchesOf(sizes);
  if (ALL && count !== patches) fail(`patch: with ALL count must be ${patches} (all patches), got ${count}`);
  return count;
}

const grid = ({ batch, count }: { batch: number; count: number }) => fold(batch * count);
const constants = ({ patch_size, chans }: { patch_size: number; chans: number }, adapter: AdapterTraits) => ({
  P: patch_size,
  C: chans,
  ...streamThreads(adapter),
});

/** Rows of pixels of the chosen patches (ids), or with ALL of every patch (count = patches), in the order that ORDER says. */
export const patchForward = defineKernel({
  name: 'patch.forward',
  variants: {
    simt: variant(forward, {
      grid,
      tune: (s, adapter) => (s.ORDER === 1 || s.patch_size % 4 || s.width % 4 ? null : constants(s, adapter)),
      otherwise: variant(oneByOne(forward), { grid, tune: constants }),
    }),
    cpu: variant(oneByOne(forward), { grid, tune: constants }),
  },
  options: { ALL: false, ORDER: 0 },
  shapes: ({ batch, chans, height, width, patch_size, count, ALL }) => ({
    img: [batch, chans, height, width],
    ids: ALL ? null : [batch, count],
    rows: [batch, rowsOf({ height, width, patch_size, count, ALL }), chans * patch_size * patch_size],
  }),
  moves: ({ batch, chans, height, width, patch_size, count, ALL }) => ({
    img: batch * rowsOf({ height, width, patch_size, count, ALL }) * chans * patch_size * patch_size,
  }),
  flops: () => 0,
  reference: ref.forward,
  inputs: ({ batch, count, ALL, ...sizes }, random) => ({
    ids: Uint32Array.from({ length: ALL ? 0 : batch * count }, () => random.below(patchesOf(sizes))),
  }),
  cases: [
    { batch: 1, chans: 1, height: 1, width: 1, patch_size: 1, count: 1 },
    { batch: 3, chans: 3, height: 6, width: 10, patch_size: 2, count: 4 },
    { batch: 2, chans: 5, height: 21, width: 14, patch_size: 7, count: 3, ORDER: 1 },
    { batch: 2, chans: 3, height: 24, width: 16, patch_size: 8, count: 4 },
    { batch: 2, chans: 3, height: 15, width: 20, patch_size: 5, count: 12, ALL: true },
    { batch: 2, chans: 4, height: 8, width: 16, patch_size: 4, count: 8, ALL: true, ORDER: 1 },
    { batch: 2, chans: 3, height: 32, width: 48, patch_size: 16, count: 2 },
  ],
});

/** Pixels from rows of all patches. */
export const patchBackward = defineKernel({
  name: 'patch.backward',
  variants: {
    simt: variant(backward, {
      grid: ({ batch, chans, height }) => fold(batch * chans * height),
      tune: constants,
    }),
  },
  options: { ORDER: 0 },
  shapes: ({ batch, chans, height, width, patch_size }) => ({
    rows: [batch, patchesOf({ height, width, patch_size }), chans * patch_size * patch_size],
    img: [batch, chans, height, width],
  }),
  flops: () => 0,
  reference: ref.backward,
  cases: [
    { batch: 1, chans: 1, height: 1, width: 1, patch_size: 1 },
    { batch: 2, chans: 3, height: 15, width: 20, patch_size: 5 },
    { batch: 2, chans: 5, height: 21, width: 14, patch_size: 7, ORDER: 1 },
    { batch: 1, chans: 3, height: 32, width: 80, patch_size: 16, ORDER: 1 },
  ],
});
