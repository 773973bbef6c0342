// Order of samples, crop boxes and flips, each a pure function of (seed, epoch, sample).
import type { Window } from '../../kernels/augment/layout.ts';
import { draw, STREAM, unit } from './streams.ts';

/** A permutation of [0, n) for one epoch: Fisher-Yates, with one Philox block for every two exchanges. */
export function epochOrder(seed: number, epoch: number, n: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let words: Uint32Array = new Uint32Array(4);
  for (let done = 0; done < n - 1; done++) {
    const half = 2 * (done % 2);
    if (half === 0) words = draw(seed, STREAM.order, epoch, 0, done / 2);
    const left = n - done;
    const j = done + Math.floor(unit(words[half], words[half + 1]) * left);
    const kept = order[done];
    order[done] = order[j];
    order[j] = kept;
  }
  return order;
}

/** In pixels of the decoded image. */
export interface Box {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export interface CropRange {
  /** Share of the image's area, low and high. */
  readonly scale: readonly [number, number];
  /** Width over height, low and high. */
  readonly ratio: readonly [number, number];
}

/** What facebookresearch/mae pretrains with. */
export const PRETRAIN_CROP: CropRange = { scale: [0.2, 1], ratio: [3 / 4, 4 / 3] };

/** torchvision's RandomResizedCrop.get_params: ten tries, then the largest centred box of an allowed ratio. */
export function cropBox(
  { seed, epoch, sample }: { seed: number; epoch: number; sample: number },
  { height, width }: { height: number; width: number },
  { scale, ratio }: CropRange = PRETRAIN_CROP,
): Box {
  const between = (word: number, low: number, high: number): number => low + unit(word) * (high - low);
  for (let attempt = 0; attempt < 10; attempt++) {
    const words = draw(seed, STREAM.crop, epoch, sample, attempt);
    const area = height * width * between(words[0], scale[0], scale[1]);
    const aspect = Math.exp(between(words[1], Math.log(ratio[0]), Math.log(ratio[1])));
    const w = roundHalfEven(Math.sqrt(area * aspect));
    const h = roundHalfEven(Math.sqrt(area / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const top = Math.floor(unit(words[2]) * (height - h + 1));
    const left = Math.floor(unit(words[3]) * (width - w + 1));
    return { top, left, height: h, width: w };
  }
  let [h, w] = [height, width];
  if (width / height < ratio[0]) h = roundHalfEven(width / ratio[0]);
  else if (width / height > ratio[1]) w = roundHalfEven(height * ratio[1]);
  return { top: (height - h) >> 1, left: (width - w) >> 1, height: h, width: w };
}

/**
 * The linear probe's weak crop (facebookresearch/mae, util/crop.py): one draw, with sides that pass the image cut to it, where cropBox tries
 * again.
 */
export function clampedBox(
  { seed, epoch, sample }: { seed: number; epoch: number; sample: number },
  { height, width }: { height: number; width: number },
  { scale, ratio }: CropRange = PRETRAIN_CROP,
): Box {
  const words = draw(seed, STREAM.weakCrop, epoch, sample);
  const between = (word: number, low: number, high: number): number => low + unit(word) * (high - low);
  const area = height * width * between(words[0], scale[0], scale[1]);
  const aspect = Math.exp(between(words[1], Math.log(ratio[0]), Math.log(ratio[1])));
  const w = Math.max(1, Math.min(width, roundHalfEven(Math.sqrt(area * aspect))));
  const h = Math.max(1, Math.min(height, roundHalfEven(Math.sqrt(area / aspect))));
  const top = Math.floor(unit(words[2]) * (height - h + 1));
  const left = Math.floor(unit(words[3]) * (width - w + 1));
  return { top, left, height: h, width: w };
}

/** The largest centred box with the output's ratio: what evaluation resizes. */
export function centreBox(image: { height: number; width: number }, output: { height: number; width: number }): Box {
  const scale = Math.min(image.height / output.height, image.width / output.width);
  const height = Math.min(image.height, Math.max(1, Math.round(output.height * scale)));
  const width = Math.min(image.width, Math.max(1, Math.round(output.width * scale)));
  return { top: (image.height - height) >> 1, left: (image.width - width) >> 1, height, width };
}

/** True for half of the samples. */
export function flipped(seed: number, epoch: number, sample: number): boolean {
  return draw(seed, STREAM.flip, epoch, sample)[0] >= 2 ** 31;
}

/** Which part of a decoded image to take, whether to mirror it, and where the output lies in it once resized, if not everywhere. */
export interface Placed {
  readonly box: Box;
  readonly flip: boolean;
  readonly window?: Window;
}
/** What is seen of a sample, by its number and the size of its image: the same at every call. */
export interface Place {
  (sample: number, image: { height: number; width: number }): Placed;
  /** What another thread needs to make the same one (`placeOf`); absent where only this thread can. */
  readonly told?: ToldPlace;
}

/** A Place as its maker's name and arguments. */
export type ToldPlace = { [M in keyof Makers]: readonly [maker: M, ...args: Parameters<Makers[M]>] }[keyof Makers];
interface Makers {
  random(seed: number, epoch: number, range: CropRange): Place;
  weak(seed: number, epoch: number): Place;
  centre(output: { height: number; width: number }): Place;
  eval(output: { height: number; width: number }, crop_pct: number): Place;
}

/** Training: a random box and a flip, anew in every epoch. */
export const randomPlaces = (seed: number, epoch: number, range: CropRange = PRETRAIN_CROP): Place =>
  placeOf(['random', seed, epoch, range]);

/** Linear probing: the clamped crop and a flip. */
export const weakPlaces = (seed: number, epoch: number): Place => placeOf(['weak', seed, epoch]);

/** The largest centre of the output's shape: what is evaluated of small pictures, held-out losses, pictures of a model. */
export const centrePlaces = (output: { height: number; width: number }): Place => placeOf(['centre', output]);

/**
 * The part of the resized short side that evaluation keeps: facebookresearch/mae's build_transform, but for small pictures (CIFAR's), which are
 * taken whole: their authors left no margin around what they show.
 */
export const cropPart = (side: number): number => (side > 64 && side <= 224 ? 224 / 256 : 1);

/** What evaluation sees of an image unless told otherwise: `crop_pct` of the short side, 1 being the largest centre. */
export function evaluationPlaces(
  output: { height: number; width: number },
  crop_pct = cropPart(Math.max(output.height, output.width)),
): Place {
  return crop_pct === 1 ? centrePlaces(output) : evalPlaces(output, crop_pct);
}

/**
 * torchvision's Resize and CenterCrop as the reference evaluates: the whole image is resized until its short side is int(output / crop_pct),
 * then its centre is cut out. For outputs that are not square, until it covers both sides.
 */
export const evalPlaces = (output: { height: number; width: number }, crop_pct: number): Place =>
  placeOf(['eval', output, crop_pct]);

const MAKERS: Makers = {
  random: (seed, epoch, range) => (sample, image) => ({
    box: cropBox({ seed, epoch, sample }, image, range),
    flip: flipped(seed, epoch, sample),
  }),
  weak: (seed, epoch) => (sample, image) => ({
    box: clampedBox({ seed, epoch, sample }, image),
    flip: flipped(seed, epoch, sample),
  }),
  centre: (output) => (_, image) => ({ box: centreBox(image, output), flip: false }),
  eval:
    (output, crop_pct) =>
    (_, { height, width }) => {
      const [h, w] = [Math.trunc(output.height / crop_pct), Math.trunc(output.width / crop_pct)];
      // The side that decides gets its exact size, the other one int(size * long / short).
      const byWidth = width * h <= height * w;
      const whole = byWidth
        ? { height: Math.trunc((w * height) / width), width: w }
        : { height: h, width: Math.trunc((h * width) / height) };
      const top = roundHalfEven((whole.height - output.height) / 2);
      const left = roundHalfEven((whole.width - output.width) / 2);
      return { box: { top: 0, left: 0, height, width }, flip: false, window: { ...whole, top, left } };
    },
};

/** The Place that was told of. */
export function placeOf(told: ToldPlace): Place {
  const [maker, ...args] = told;
  return Object.assign((MAKERS[maker] as (...given: unknown[]) => Place)(...args), { told });
}

/** As Python's round: ties to the even number. */
function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
