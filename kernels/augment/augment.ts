// Crop, bicubic resize, flip and normalise from packed bytes, bit for bit as PIL and torchvision: two integer passes.
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import type { Random } from '../random/random.ts';
import bytes from './augment.bytes.wgsl';
import horizontal from './augment.horizontal.wgsl';
import normalize from './augment.normalize.wgsl';
import * as ref from './augment.ref.ts';
import vertical from './augment.vertical.wgsl';
import { type Crop, IMAGE_WORDS, layoutCrops, normalizeTable } from './layout.ts';

export { bicubicTaps, type Taps } from './coefficients.ts';
export { type Crop, layoutCrops, type Layout, normalizeTable } from './layout.ts';

interface Sizes {
  batch: number;
  chans: number;
  tap_words: number;
  mid_words: number;
}

/** Random crops of up to 40 pixels for the tests, and one that keeps its size; padded to the capacities of the problem. */
function drawn({ batch, chans, height, width, ...s }: Sizes & { height: number; width: number }, random: Random) {
  let offset = 1;
  const crops: Crop[] = Array.from({ length: batch }, (_, b) => {
    const box = b === 0 ? { height, width } : { height: 1 + random.below(40), width: 1 + random.below(40) };
    const pitch = (box.width + random.below(3)) * chans;
    const crop = { ...box, offset, pitch, flip: random.below(2) === 1 };
    offset += pitch * box.height + random.below(5);
    return crop;
  });
  const layout = layoutCrops(crops, { chans, height, width });
  const images = Uint32Array.from(layout.images);
  const taps = new Int32Array(s.tap_words);
  taps.set(layout.taps);
  return { images, taps, bytes: offset };
}

/** A byte at full contrast half of the time, so that sums overshoot and are clipped. */
const words = (n: number, random: Random): Uint32Array =>
  new Uint32Array(
    Uint8Array.from({ length: 4 * n }, () => [0, 255, random.below(256), random.below(256)][random.below(4)]).buffer,
  );

/** Crops of `pixels` resized along their lines to `width`: `mid` holds (crop height, width, chans) bytes of every image. */
export const augmentHorizontal = defineKernel({
  name: 'augment.horizontal',
  variants: {
    simt: variant(horizontal, {
      grid: ({ mid_words, WG }) => fold(ceilDiv(mid_words, WG)),
      tune: ({ chans }, adapter) => ({ C: chans, ...streamThreads(adapter) }),
    }),
  },
  shapes: ({ batch, words, tap_words, mid_words }) => ({
    pixels: [words],
    images: [batch, IMAGE_WORDS],
    taps: [tap_words],
    mid: [mid_words],
  }),
  flops: ({ mid_words }) => 4 * 2 * 5 * mid_words,
  reference: ref.horizontal,
  inputs: (s, random) => {
    const { images, taps } = drawn({ ...s, height: 9 }, random);
    return { images, taps, pixels: words(s.words, random) };
  },
  cases: [
    { batch: 1, chans: 1, width: 1, words: 100, tap_words: 1000, mid_words: 64 },
    { batch: 3, chans: 3, width: 7, words: 4000, tap_words: 10000, mid_words: 1024 },
    { batch: 4, chans: 4, width: 33, words: 9000, tap_words: 20000, mid_words: 8192 },
    { batch: 6, chans: 3, width: 16, words: 8000, tap_words: 20000, mid_words: 4096 },
    { batch: 2, chans: 5, width: 12, words: 8000, tap_words: 9000, mid_words: 2048 },
  ],
});

/** The lines of `mid` resized to `height`, flipped where asked, and looked up in `table` (normalizeTable). */
export const augmentVertical = defineKernel({
  name: 'augment.vertical',
  variants: {
    simt: variant(vertical, {
      grid: ({ batch, height }) => fold(batch * height),
      tune: ({ chans }, adapter) => ({ C: chans, ...streamThreads(adapter) }),
    }),
  },
  shapes: ({ batch, chans, height, width, tap_words, mid_words }) => ({
    mid: [mid_words],
    images: [batch, IMAGE_WORDS],
    taps: [tap_words],
    table: [chans, 256],
    img: [batch, chans, height, width],
  }),
  flops: ({ batch, chans, height, width }) => 2 * 5 * batch * chans * height * width,
  reference: ref.vertical,
  inputs: (s, random) => {
    const { images, taps } = drawn(s, random);
    const some = (low: number): number[] => Array.from({ length: s.chans }, () => low + random.uniform() / 4);
    return { images, taps, mid: words(s.mid_words, random), table: normalizeTable(some(0.4), some(0.1)) };
  },
  cases: [
    { batch: 1, chans: 1, height: 1, width: 1, tap_words: 1000, mid_words: 64 },
    { batch: 3, chans: 3, height: 5, width: 7, tap_words: 10000, mid_words: 1024 },
    { batch: 4, chans: 4, height: 70, width: 33, tap_words: 20000, mid_words: 8192 },
    { batch: 6, chans: 3, height: 16, width: 16, tap_words: 20000, mid_words: 4096 },
    { batch: 2, chans: 5, height: 12, width: 12, tap_words: 9000, mid_words: 2048 },
  ],
  tolerance: 1e-6,
});

const byteCases = [
  { batch: 1, chans: 1, height: 1, width: 1, tap_words: 1000, mid_words: 64, words: 1 },
  { batch: 3, chans: 3, height: 5, width: 7, tap_words: 10000, mid_words: 1024, words: 27 },
  { batch: 2, chans: 4, height: 30, width: 33, tap_words: 20000, mid_words: 8192, words: 990 },
];

/** The lines of `mid` resized to `height` and flipped where asked, as bytes (batch, words), words = ceil(height * width * chans / 4). */
export const augmentBytes = defineKernel({
  name: 'augment.bytes',
  variants: {
    simt: variant(bytes, {
      grid: ({ batch, words: n, WG }) => fold(ceilDiv(batch * n, WG)),
      tune: ({ chans }, adapter) => ({ C: chans, ...streamThreads(adapter) }),
    }),
  },
  shapes: ({ batch, tap_words, mid_words, words: n }) => ({
    mid: [mid_words],
    images: [batch, IMAGE_WORDS],
    taps: [tap_words],
    bytes: [batch, n],
  }),
  flops: ({ batch, chans, height, width }) => 2 * 5 * batch * chans * height * width,
  reference: ref.bytes,
  inputs: (s, random) => {
    const { images, taps } = drawn(s, random);
    return { images, taps, mid: words(s.mid_words, random) };
  },
  cases: byteCases,
});

/** img (batch, chans, height, width) of bytes (batch, words), by `table` (normalizeTable). */
export const augmentNormalize = defineKernel({
  name: 'augment.normalize',
  variants: {
    simt: variant(normalize, {
      grid: ({ batch, chans, height, width, WG }) => fold(ceilDiv(batch * chans * height * width, WG)),
      tune: (_, adapter) => streamThreads(adapter),
    }),
  },
  shapes: ({ batch, chans, height, width, words: n }) => ({
    bytes: [batch, n],
    table: [chans, 256],
    img: [batch, chans, height, width],
  }),
  flops: () => 0,
  reference: ref.normalize,
  inputs: (s, random) => ({ bytes: words(s.batch * s.words, random) }),
  cases: byteCases.map(({ batch, chans, height, width, words: n }) => ({ batch, chans, height, width, words: n })),
});
