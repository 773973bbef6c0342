// RandAugment as timm draws it (its `rand-m9-mstd0.5-inc1` and the like): which operations, how strong, and what the kernels take of them.
import type { Tensor } from '../../engine/tensor.ts';
import type { Trace } from '../../engine/trace.ts';
import { imageWords, OPERATION, randaugmentApply, randaugmentLut } from '../../kernels/randaugment/randaugment.ts';
import { misuse } from '../usage.ts';
import { draw, STREAM, unit } from './streams.ts';

/** timm's fifteen in the set whose strength increases with the magnitude (`inc1`). */
export const RAND_OPERATIONS = [
  'AutoContrast',
  'Equalize',
  'Invert',
  'Rotate',
  'Posterize',
  'Solarize',
  'SolarizeAdd',
  'Color',
  'Contrast',
  'Brightness',
  'Sharpness',
  'ShearX',
  'ShearY',
  'TranslateX',
  'TranslateY',
] as const;
export type RandOperation = (typeof RAND_OPERATIONS)[number];

interface RandPolicy {
  /** Of 10. */
  readonly magnitude: number;
  /** Standard deviation of the magnitude. */
  readonly mstd: number;
  /** Operations drawn for an image, with replacement; each is applied with probability 1/2. */
  readonly count: number;
}

/** `rand-m9-mstd0.5-inc1`, with n for another count than 2. */
export function parseRandAugment(text: string): RandPolicy {
  const [kind, ...parts] = text.split('-');
  if (kind !== 'rand') misuse(`--aa must be of the form rand-m9-mstd0.5-inc1, got ${text}`);
  const values: Record<string, number> = { m: 10, mstd: 0, n: 2, inc: 0 };
  for (const part of parts) {
    const found = /^(mstd|m|n|inc)(\d+(?:\.\d+)?)$/.exec(part);
    if (!found) misuse(`--aa: ${part} of ${text} is not known; there are m, n, mstd and inc, each with a number`);
    values[found[1]] = Number(found[2]);
  }
  const { m, mstd, n, inc } = values;
  if (m > 10) misuse(`--aa: the magnitude m must be at most 10, got ${m}`);
  if (!(Number.isInteger(n) && n >= 1 && n <= 8)) misuse(`--aa: n must be a whole number from 1 to 8, got ${n}`);
  if (inc !== 1) misuse('--aa: only the operations that grow with the magnitude are there: add -inc1');
  return { magnitude: m, mstd, count: n };
}

export interface RandDraw {
  readonly operation: RandOperation;
  /** In [0, 10]. */
  readonly level: number;
  /** -1 for the other direction, of the operations that have one. */
  readonly sign: 1 | -1;
}

/** What is done to an image, slot by slot; null where the coin says nothing. */
export function drawRandAugment(
  { seed, epoch, sample }: { seed: number; epoch: number; sample: number },
  { magnitude, mstd, count }: RandPolicy,
): (RandDraw | null)[] {
  return Array.from({ length: count }, (_, slot) => {
    const words = draw(seed, STREAM.randaugment, epoch, sample, 2 * slot);
    const more = draw(seed, STREAM.randaugment, epoch, sample, 2 * slot + 1);
    if (unit(words[0]) >= 0.5) return null;
    const normal = Math.sqrt(-2 * Math.log(1 - unit(more[0]))) * Math.cos(2 * Math.PI * unit(more[1]));
    return {
      operation: RAND_OPERATIONS[Math.floor(unit(words[1]) * RAND_OPERATIONS.length)],
      level: Math.min(10, Math.max(0, magnitude + mstd * normal)),
      sign: words[2] >= 2 ** 31 ? -1 : 1,
    };
  });
}

/** Words of a slot in the plan that the kernels take: operation, value, matrix. */
export const SLOT_WORDS = 8;
const IDENTITY = [1, 0, 0, 0, 1, 0] as const;

/** One slot for an image of this size: timm's strengths of a level, and Pillow's matrices. */
function slotOf(drawn: RandDraw | null, [height, width]: readonly [number, number]): number[] {
  const plain = (operation: number, value = 0): number[] => [operation, value, ...IDENTITY];
  if (!drawn) return plain(OPERATION.none);
  const { operation, level, sign } = drawn;
  const enhance = Math.max(0.1, 1 + sign * (level / 10) * 0.9);
  const affine = (...matrix: number[]): number[] => [OPERATION.affine, 0, ...matrix];
  switch (operation) {
    case 'AutoContrast':
      return plain(OPERATION.autocontrast);
    case 'Equalize':
      return plain(OPERATION.equalize);
    case 'Invert':
      return plain(OPERATION.invert);
    case 'Posterize':
      return plain(OPERATION.posterize, 4 - Math.trunc((level / 10) * 4));
    case 'Solarize':
      return plain(OPERATION.solarize, 256 - Math.min(256, Math.trunc((level / 10) * 256)));
    case 'SolarizeAdd':
      return plain(OPERATION.solarizeAdd, Math.min(128, Math.trunc((level / 10) * 110)));
    case 'Color':
      return plain(OPERATION.color, enhance);
    case 'Contrast':
      return plain(OPERATION.contrast, enhance);
    case 'Brightness':
      return plain(OPERATION.brightness, enhance);
    case 'Sharpness':
      return plain(OPERATION.sharpness, enhance);
    case 'Rotate':
      return affine(...rotation((sign * level * 30) / 10, height, width));
    case 'ShearX':
      return affine(1, sign * (level / 10) * 0.3, 0, 0, 1, 0);
    case 'ShearY':
      return affine(1, 0, 0, sign * (level / 10) * 0.3, 1, 0);
    case 'TranslateX':
      return affine(1, 0, sign * (level / 10) * 0.45 * width, 0, 1, 0);
    case 'TranslateY':
      return affine(1, 0, 0, 0, 1, sign * (level / 10) * 0.45 * height);
  }
}

/** Pillow's Image.rotate about the centre, by degrees. */
function rotation(degrees: number, height: number, width: number): number[] {
  const angle = (-(((degrees % 360) + 360) % 360) * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const [x, y] = [width / 2, height / 2];
  return [c, s, x - c * x - s * y, -s, c, y + s * x - c * y];
}

/** torchvision's ColorJitter without hue: brightness, contrast and colour, each by a factor of 1 - strength to 1 + strength, in random order. */
export function jitterSlots(
  { seed, epoch, sample }: { seed: number; epoch: number; sample: number },
  strength: number,
): number[] {
  const words = draw(seed, STREAM.jitter, epoch, sample);
  const factor = (word: number): number => Math.max(0, 1 - strength + 2 * strength * unit(word));
  const slots = [OPERATION.brightness, OPERATION.contrast, OPERATION.color].map((operation, i) => [
    operation,
    factor(words[i]),
    ...IDENTITY,
  ]);
  const first = words[3] % 3;
  const [a, b] = [0, 1, 2].filter((i) => i !== first);
  const order = words[3] % 2 ? [first, a, b] : [first, b, a];
  return order.flatMap((i) => slots[i]);
}
/** Operations of jitterSlots. */
export const JITTER_SLOTS = 3;

/** (batch, count, 8) of a batch. */
export function planOf(
  draws: readonly (readonly (RandDraw | null)[])[],
  size: readonly [number, number],
): Float32Array {
  return Float32Array.from(draws.flatMap((slots) => slots.flatMap((one) => slotOf(one, size))));
}

/** What lies outside of a turned image: the mean of the normalisation, as the reference gives it to timm. */
export const fillOf = (mean: readonly number[]): Uint32Array =>
  Uint32Array.from(mean, (m) => Math.min(255, Math.round(m * 255)));

/** bytes (batch, words) through every slot of plan (batch, slots, 8); fill (chans). */
export function applyRandAugment(
  t: Trace,
  bytes: Tensor,
  plan: Tensor,
  fill: Tensor,
  { height, width, chans }: { height: number; width: number; chans: number },
): Tensor {
  const [batch, slots] = plan.shape;
  const sizes = { batch, chans, height, width, words: imageWords(height, width, chans), slots };
  let result = bytes;
  for (let slot = 0; slot < slots; slot++) {
    const { lut } = t.run(randaugmentLut, { bytes: result, plan }, { ...sizes, slot });
    result = t.run(randaugmentApply, { bytes: result, plan, lut, fill }, { ...sizes, slot }).out;
  }
  return result;
}
