// What fine-tuning does to images, by name or one by one: timm's definitions (field names are its flags), drawn by sample and epoch.
import { centrePlaces, type CropRange, type Place, randomPlaces } from './sampler.ts';
import { draw, STREAM, unit } from './streams.ts';

export interface Augmentation {
  /** Share of the area that a crop takes at least, up to all of it; null: the centre, not mirrored. */
  readonly crop_scale: number | null;
  /** Probability of a box of noise (random erasing). */
  readonly reprob: number;
  /** Alpha of mixup's and of cutmix's beta distribution; 0: none. */
  readonly mixup: number;
  readonly cutmix: number;
  readonly smoothing: number;
  /** RandAugment's policy, as rand-m9-mstd0.5-inc1; '': none. */
  readonly aa: string;
  /** Without aa: strength of changes of brightness, contrast and colour, in random order; 0: none. */
  readonly color_jitter: number;
}

export const AUGMENTATIONS = {
  none: { crop_scale: null, reprob: 0, mixup: 0, cutmix: 0, smoothing: 0, aa: '', color_jitter: 0 },
  light: { crop_scale: 0.2, reprob: 0, mixup: 0, cutmix: 0, smoothing: 0.1, aa: '', color_jitter: 0 },
  medium: {
    crop_scale: 0.08,
    reprob: 0.25,
    mixup: 0,
    cutmix: 0,
    smoothing: 0.1,
    aa: 'rand-m9-mstd0.5-inc1',
    color_jitter: 0,
  },
  strong: {
    crop_scale: 0.08,
    reprob: 0.25,
    mixup: 0.8,
    cutmix: 1,
    smoothing: 0.1,
    aa: 'rand-m9-mstd0.5-inc1',
    color_jitter: 0,
  },
} as const satisfies Record<string, Augmentation>;

/** In words, for the help. */
export const AUGMENTATIONS_TEXT = `none: the whole centre
light: crops of 20 to 100 % of the area, mirrored at random, label smoothing 0.1
medium: crops of 8 to 100 %, mirrored, RandAugment rand-m9-mstd0.5-inc1, boxes of noise in a quarter of the images, label smoothing 0.1
strong: medium with mixup 0.8 and cutmix 1.0 in turns`;

const RATIO: CropRange['ratio'] = [3 / 4, 4 / 3];

/** Boxes and flips of an epoch. */
export function augmentedPlaces(
  { crop_scale }: Augmentation,
  output: { height: number; width: number },
  seed: number,
  epoch: number,
): Place {
  return crop_scale === null
    ? centrePlaces(output)
    : randomPlaces(seed, epoch, { scale: [crop_scale, 1], ratio: RATIO });
}

/** Of a batch's images: (batch, 4) of top, left, height, width; height 0 where nothing is erased (timm's RandomErasing). */
export function erasedBoxes(
  { reprob }: Augmentation,
  ids: Uint32Array,
  [height, width]: readonly [number, number],
  seed: number,
  epoch: number,
): Uint32Array {
  const boxes = new Uint32Array(4 * ids.length);
  const between = (word: number, low: number, high: number): number => low + unit(word) * (high - low);
  for (const [i, sample] of ids.entries()) {
    if (unit(draw(seed, STREAM.erase, epoch, sample)[0]) >= reprob) continue;
    for (let attempt = 1; attempt <= 10; attempt++) {
      const words = draw(seed, STREAM.erase, epoch, sample, attempt);
      const area = height * width * between(words[0], 0.02, 1 / 3);
      const aspect = Math.exp(between(words[1], Math.log(0.3), Math.log(1 / 0.3)));
      const [h, w] = [Math.round(Math.sqrt(area * aspect)), Math.round(Math.sqrt(area / aspect))];
      if (w >= width || h >= height || h < 1 || w < 1) continue;
      const top = Math.floor(unit(words[2]) * (height - h + 1));
      boxes.set([top, Math.floor(unit(words[3]) * (width - w + 1)), h, w], 4 * i);
      break;
    }
  }
  return boxes;
}

interface Mixing {
  /** Part of the own label in the target. */
  readonly lambda: number;
  /** (5): what kernels/mix takes: lambda and cutmix's box, top, left, bottom, right; zeros for mixup */
  readonly how: Float32Array;
}

/** Of a whole batch: mixup or cutmix, in turns by a coin where both are on (timm's Mixup, batch mode, probability 1). `sample` is its first. */
export function drawMixing(
  { mixup, cutmix }: Augmentation,
  [height, width]: readonly [number, number],
  { seed, epoch, sample }: { seed: number; epoch: number; sample: number },
): Mixing {
  let block = 0;
  const next = (): Uint32Array => draw(seed, STREAM.mix, epoch, sample, block++);
  const cut = cutmix > 0 && (mixup === 0 || unit(next()[0]) < 0.5);
  const alpha = cut ? cutmix : mixup;
  const drawn = beta(alpha, next);
  if (!cut) return { lambda: drawn, how: Float32Array.of(drawn, 0, 0, 0, 0) };
  const words = next();
  const centre = [Math.floor(unit(words[0]) * height), Math.floor(unit(words[1]) * width)] as const;
  const { box, lambda } = cutmixBox(drawn, centre, [height, width]);
  // An empty box is mixup by 1 for the kernel: the image as it is.
  if (lambda === 1) return { lambda, how: Float32Array.of(1, 0, 0, 0, 0) };
  return { lambda, how: Float32Array.of(lambda, ...box) };
}

/**
 * timm's rand_bbox: top, left, bottom and right of a box of the part 1 - `drawn` about a centre, cut to the image; and the part of the image that
 * is left outside of it, which is the label's.
 */
export function cutmixBox(
  drawn: number,
  [y, x]: readonly [number, number],
  [height, width]: readonly [number, number],
): { box: readonly [number, number, number, number]; lambda: number } {
  const side = Math.sqrt(1 - drawn);
  const [h, w] = [Math.trunc(height * side), Math.trunc(width * side)];
  const clip = (at: number, most: number): number => Math.min(most, Math.max(0, at));
  const [top, bottom] = [clip(y - (h >> 1), height), clip(y + (h >> 1), height)];
  const [left, right] = [clip(x - (w >> 1), width), clip(x + (w >> 1), width)];
  return { box: [top, left, bottom, right], lambda: 1 - ((bottom - top) * (right - left)) / (height * width) };
}

/** Beta(a, a) as G / (G + G') with two gamma variates. */
function beta(a: number, next: () => Uint32Array): number {
  const [x, y] = [gamma(a, next), gamma(a, next)];
  return x + y > 0 ? x / (x + y) : 0.5;
}

/** Gamma(a, 1) by Marsaglia and Tsang (2000), below 1 by their boost. */
export function gamma(a: number, next: () => Uint32Array): number {
  if (a < 1) {
    const u = unit(next()[0]);
    return gamma(a + 1, next) * u ** (1 / a);
  }
  const d = a - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const words = next();
    const x = Math.sqrt(-2 * Math.log(1 - unit(words[0], words[1]))) * Math.cos(2 * Math.PI * unit(words[2]));
    const v = (1 + c * x) ** 3;
    const u = 1 - unit(words[3]);
    if (v > 0 && Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
