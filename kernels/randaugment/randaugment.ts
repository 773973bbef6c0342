// RandAugment's operations (Cubuk et al. 2020) on bytes, an operation an image; the arithmetic is Pillow's. Two dispatches a slot.
import { fail } from '../errors.ts';
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import { streamThreads } from '../lib/lanes.ts';
import type { Random } from '../random/random.ts';
import apply from './randaugment.apply.wgsl';
import lut from './randaugment.lut.wgsl';
import * as ref from './randaugment.ref.ts';

/** What the kernels call an operation: values by tables from 1 to 8, then those that look at other pixels or channels. */
export const OPERATION = {
  none: 0,
  autocontrast: 1,
  equalize: 2,
  invert: 3,
  posterize: 4,
  solarize: 5,
  solarizeAdd: 6,
  contrast: 7,
  brightness: 8,
  color: 9,
  sharpness: 10,
  affine: 11,
} as const;

/** Words that the bytes of an image take. */
export const imageWords = (height: number, width: number, chans: number): number => ceilDiv(height * width * chans, 4);

type Sizes = ref.Sizes;

function checkedWords({ height, width, chans, words }: Sizes): void {
  if (words !== imageWords(height, width, chans))
    fail(
      `randaugment: ${height} x ${width} x ${chans} bytes are ${imageWords(height, width, chans)} words, got ${words}`,
    );
}

/** A value that each operation may have, and a matrix that turns and shears a little. */
function planFor({ batch, slots, width, height }: Sizes, rng: Random): number[] {
  return Array.from({ length: batch * slots }, (_, i) => {
    const operation = i % 12;
    const factor = 2 * rng.uniform();
    const values: Record<number, number> = { 4: rng.below(9), 5: rng.below(257), 6: rng.below(129) };
    const turn = 0.6 * (rng.uniform() - 0.5);
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    const matrix = [c, s, 0.1 * width * rng.uniform(), -s, c, 0.1 * height * rng.uniform()];
    return [operation, values[operation] ?? factor, ...matrix].map(Math.fround);
  }).flat();
}
const anyBytes = ({ batch, words }: Sizes, rng: Random) =>
  Array.from({ length: batch * words }, () => rng.below(2 ** 32));

const cases = [
  { batch: 12, chans: 3, height: 1, width: 1, words: 1, slot: 0, slots: 1 },
  { batch: 12, chans: 3, height: 17, width: 23, words: 294, slot: 0, slots: 1 },
  { batch: 12, chans: 1, height: 9, width: 6, words: 14, slot: 0, slots: 1 },
  { batch: 6, chans: 4, height: 32, width: 20, words: 640, slot: 1, slots: 2 },
];

/** lut (batch, chans, 256) of the operations that change values by themselves, of slot `slot` of plan (batch, slots, 8). */
export const randaugmentLut = defineKernel({
  name: 'randaugment.lut',
  variants: {
    simt: variant(lut, { grid: ({ batch }) => fold(batch), tune: ({ chans }) => ({ C: chans }) }),
  },
  shapes: (s) => {
    checkedWords(s);
    return { bytes: [s.batch, s.words], plan: [s.batch, s.slots, 8], lut: [s.batch, s.chans, 256] };
  },
  flops: () => 0,
  reference: ref.lut,
  inputs: (s, rng) => ({ bytes: anyBytes(s, rng), plan: planFor(s, rng) }),
  cases,
});

/** out (batch, words): the operation of slot `slot` of plan (batch, slots, 8) on bytes (batch, words); fill (chans) outside of the image. */
export const randaugmentApply = defineKernel({
  name: 'randaugment.apply',
  variants: {
    simt: variant(apply, {
      grid: ({ batch, words, WG }) => fold(ceilDiv(batch * words, WG)),
      tune: ({ chans }, adapter: AdapterTraits) => ({ C: chans, ...streamThreads(adapter) }),
    }),
  },
  shapes: (s) => {
    checkedWords(s);
    const images = [s.batch, s.words];
    return { bytes: images, plan: [s.batch, s.slots, 8], lut: [s.batch, s.chans, 256], fill: [s.chans], out: images };
  },
  flops: () => 0,
  reference: ref.apply,
  inputs: (s, rng) => ({
    bytes: anyBytes(s, rng),
    // Turned images are compared by themselves (test/oracle.test.ts): they may differ by one.
    plan: planFor(s, rng).map((x, i) => (i % 8 === 0 && x === OPERATION.affine ? OPERATION.none : x)),
    lut: Array.from({ length: s.batch * s.chans * 256 }, () => rng.below(256)),
    fill: Array.from({ length: s.chans }, () => rng.below(256)),
  }),
  cases,
});
