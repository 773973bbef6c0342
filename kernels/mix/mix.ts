// What fine-tuning does to normalised images: two of them in one, and boxes of noise.
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import philox from '../lib/philox.wgsl';
import { anyWords } from '../random/uniform.ts';
import blend from './mix.blend.wgsl';
import erase from './mix.erase.wgsl';
import * as ref from './mix.ref.ts';

type Sizes = ref.Sizes;
const values = ({ batch, chans, height, width }: Sizes) => batch * chans * height * width;
const grid = (sizes: Sizes & { WG: number }) => fold(ceilDiv(values(sizes), sizes.WG));
const tune = (_: unknown, adapter: AdapterTraits) => streamThreads(adapter);
const cases = [
  { batch: 2, chans: 1, height: 1, width: 1 },
  { batch: 4, chans: 3, height: 5, width: 7 },
  { batch: 6, chans: 5, height: 16, width: 9 },
];

/** y of x (batch, chans, height, width), image b with image batch - 1 - b; how (5): lambda and cutmix's box, all 0 for mixup. */
export const mixBlend = defineKernel({
  name: 'mix.blend',
  variants: { simt: variant(blend, { grid, tune }) },
  shapes: ({ batch, chans, height, width }) => {
    const shape = [batch, chans, height, width];
    return { x: shape, how: [5], y: shape };
  },
  flops: (sizes) => 3 * values(sizes),
  reference: ref.blend,
  inputs: ({ height, width, chans }, rng) => {
    const box = [rng.below(height), rng.below(width), height, width];
    return { how: [rng.uniform(), ...(chans === 3 ? [0, 0, 0, 0] : box)] };
  },
  cases,
});

/** y of x (batch, chans, height, width) with N(0, 1) in boxes (batch, 4) of top, left, height, width; keyed by ids (batch) and clock (2). */
export const mixErase = defineKernel({
  name: 'mix.erase',
  variants: { simt: variant(erase, { lib: [philox], grid, tune }) },
  shapes: ({ batch, chans, height, width }) => {
    const shape = [batch, chans, height, width];
    return { x: shape, boxes: [batch, 4], ids: [batch], clock: [2], y: shape };
  },
  flops: (sizes) => values(sizes),
  reference: ref.erase,
  inputs: ({ batch, height, width }, rng) => ({
    boxes: Array.from({ length: batch }, (_, b) => {
      const [top, left] = [rng.below(height), rng.below(width)];
      return b === 1 ? [0, 0, 0, 0] : [top, left, height - top, 1 + rng.below(width - left)];
    }).flat(),
    ids: anyWords(rng, batch),
    clock: anyWords(rng, 2),
  }),
  // WGSL lets cos be 2^-11 off, times a radius of up to 5.8, and log 2^-21 under a root: noise may be that far off.
  tolerance: 4e-3,
  cases: cases.map((c) => ({ ...c, seed: 7, stream: 3 })),
});
