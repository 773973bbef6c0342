// What a model made of an image, as pixels: predictions with their honest statistics, pasted between what was visible, and many passes as one.
// Arithmetic alone, for terminals and browsers. Pixels are (C, H, W) in [0, 1].
import { type EncoderConfig, type MaeConfig, patchesOf, patchValues } from '../model/config.ts';
import { spread, unpatchify } from './patches.ts';
import { fromNeighbours, type Statistics, STATISTICS, statisticsOf } from './statistics.ts';

/** What turns a model's numbers into pixels. */
export interface View {
  readonly config: MaeConfig;
  /** Per channel, that images were normalised with. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** One pass of a model over an image. */
export interface Prediction {
  /** (L, p * p * C): predicted pixels, or normalised pixels where the model was trained with norm_pix_loss. */
  readonly pred: Float32Array;
  /** (L): 1 where the patch was removed. */
  readonly mask: ArrayLike<number>;
}

/** A prediction with the image that it is of. */
export interface Rebuilt extends Prediction {
  /** (C, H, W), normalised by mean and std as the model saw it. */
  readonly img: Float32Array;
}

/** The ways in which a model's predictions can be shown: one, or where it was trained with norm_pix_loss both honest ones. */
export const renderingsOf = ({ config }: View): readonly Statistics[] =>
  config.norm_pix_loss ? STATISTICS : ['original'];

/** An image as the model saw it, in pixels. */
export function pixelsOf(
  img: Float32Array,
  { config, mean, std }: Pick<View, 'mean' | 'std'> & { readonly config: EncoderConfig },
): Float32Array {
  const area = config.img_size[0] * config.img_size[1];
  return img.map((v, i) => {
    const c = Math.floor(i / area);
    return Math.min(1, Math.max(0, v * std[c] + mean[c]));
  });
}

/** Everything that was predicted, visible patches too, though nothing scores those in training. `statistics` matters under norm_pix_loss only. */
export function rebuiltPixels(
  { img, pred, mask }: Rebuilt,
  view: View,
  statistics: Statistics = 'original',
): Float32Array {
  const { config } = view;
  if (!config.norm_pix_loss) return pixelsOf(unpatchify(pred, config), view);
  const own = statisticsOf(img, config);
  const { mean, deviation } = statistics === 'original' ? own : fromNeighbours(own, mask, config);
  const size = patchValues(config);
  const values = pred.map((v, i) => v * deviation[Math.floor(i / size)] + mean[Math.floor(i / size)]);
  return pixelsOf(unpatchify(values, config), view);
}

/** The original with its removed patches as they were predicted. */
export function pasted(
  original: Float32Array,
  rebuilt: Float32Array,
  mask: ArrayLike<number>,
  config: MaeConfig,
): Float32Array {
  const removed = spread(mask, config);
  return original.map((v, i) => (removed[i % removed.length] ? rebuilt[i] : v));
}

/** The mean of several passes, each patch by those alone that removed it; where none did, the original. */
export function coveredPixels(
  img: Float32Array,
  passes: readonly Prediction[],
  view: View,
  statistics: Statistics = 'original',
): { pixels: Float32Array; mask: Float32Array } {
  const { config } = view;
  const sum = new Float64Array(img.length);
  const times = new Float32Array(patchesOf(config));
  for (const { pred, mask } of passes) {
    const removed = spread(mask, config);
    const pixels = rebuiltPixels({ img, pred, mask }, view, statistics);
    for (let i = 0; i < sum.length; i++) if (removed[i % removed.length]) sum[i] += pixels[i];
    for (let l = 0; l < times.length; l++) if (mask[l]) times[l]++;
  }
  const counts = spread(times, config);
  const original = pixelsOf(img, view);
  const pixels = original.map((v, i) => (counts[i % counts.length] ? sum[i] / counts[i % counts.length] : v));
  return { pixels, mask: times.map((n) => (n ? 1 : 0)) };
}

/** (H * W): the absolute difference, its mean over channels. */
export function errorMap(
  original: Float32Array,
  rebuilt: Float32Array,
  { config }: Pick<View, 'config'>,
): Float32Array {
  const area = config.img_size[0] * config.img_size[1];
  const error = new Float32Array(area);
  for (let i = 0; i < original.length; i++) error[i % area] += Math.abs(original[i] - rebuilt[i]) / config.in_chans;
  return error;
}
