// Randomness of a run: pure functions of (seed, stream, epoch, sample), so that neither the batch split nor the number of
// workers nor a resume changes a draw. Philox key (seed, stream), counter (block, sample, epoch, 0), as kernels/random does.
import { philox4x32 } from '../../kernels/random/philox.ts';

/** What a draw is for. Numbers are part of the checkpoint's promise: never reuse or renumber one. */
export const STREAM = {
  /** Initial weights: every parameter adds its own number. */
  init: 0x696e6974,
  /** Order of the samples in an epoch. */
  order: 2,
  /** Box of the random resized crop. */
  crop: 3,
  /** Horizontal flip. */
  flip: 4,
  /** Noise of the random masking (kernels/random, on the GPU). */
  mask: 5,
  /** Masks of the held-out set, which stay the same from epoch to epoch. */
  heldout: 6,
  /** Box of the linear probe's clamped crop. */
  weakCrop: 7,
  /** Whether and where an image is erased; the noise in its box. */
  erase: 8,
  eraseNoise: 9,
  /** How the images of a batch are mixed. */
  mix: 10,
  /** Rectangles and coins of masks that are drawn on the host. */
  maskShape: 11,
  /** RandAugment: which operations, and how strong. */
  randaugment: 12,
  /** Colour jitter: factors and their order. */
  jitter: 13,
  /** Which image takes the place of a damaged one. */
  replacement: 14,
  /** Which images of a set without a validation split are kept back. */
  split: 15,
  /** Dropout; every layer adds its own number. */
  dropout: 1000,
  /** Stochastic depth; every block adds twice its own number. */
  dropPath: 3000,
  /** Weights of a fresh head. */
  head: 0x68656164,
} as const;

/** Four u32 words of one draw. */
export function draw(seed: number, stream: number, epoch: number, sample: number, block = 0): Uint32Array {
  return philox4x32([block, sample, epoch, 0], [seed >>> 0, stream]);
}

/** U[0, 1) from a word, or with 53 bits from two. */
export const unit = (high: number, low = 0): number => (high * 2 ** 21 + (low >>> 11)) / 2 ** 53;
