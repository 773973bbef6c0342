// Mean and deviation of patches, which a model trained with norm_pix_loss does not predict: those of the original, or what can be known of a
// removed patch without it.
import { type EncoderConfig, gridOf, patchesOf, patchValues } from '../model/config.ts';
import { patchify } from './patches.ts';

/** Where brightness and contrast of a removed patch come from. */
export const STATISTICS = ['original', 'neighbours'] as const;
/** One of them. */
export type Statistics = (typeof STATISTICS)[number];

/** What a picture must say of them. */
export const STATISTICS_LABEL: Readonly<Record<Statistics, string>> = {
  original: 'patch statistics from the original',
  neighbours: 'from visible neighbours',
};

interface PatchStatistics {
  /** (L) */
  readonly mean: Float64Array;
  /** (L): sqrt(unbiased variance + 1e-6), as norm_pix_loss divides by */
  readonly deviation: Float64Array;
}

/** Of every patch of an image (C, H, W), over all its pixels and channels. */
export function statisticsOf(img: Float32Array, config: EncoderConfig): PatchStatistics {
  const size = patchValues(config);
  const values = patchify(img, config);
  const count = patchesOf(config);
  const mean = new Float64Array(count);
  const deviation = new Float64Array(count);
  for (let l = 0; l < count; l++) {
    const own = values.subarray(l * size, (l + 1) * size);
    let sum = 0;
    for (const v of own) sum += v;
    mean[l] = sum / size;
    let squares = 0;
    for (const v of own) squares += (v - mean[l]) ** 2;
    deviation[l] = Math.sqrt(squares / Math.max(1, size - 1) + 1e-6);
  }
  return { mean, deviation };
}

/**
 * The power of the distance by which a visible patch counts less. Of 1 to 8, it misses mean and deviation of removed patches least, on
 * photographs in 16-pixel patches at 224 pixels and in 4-pixel patches at 32, a quarter of them visible.
 */
const POWER = 3;

/**
 * Visible patches keep their own; each removed one gets the mean of those of all visible ones, weighted by distance^-3 (inverse distance
 * weighting, Shepard 1968). The original under removed patches is never looked at.
 */
export function fromNeighbours(own: PatchStatistics, mask: ArrayLike<number>, config: EncoderConfig): PatchStatistics {
  const across = gridOf(config)[1];
  const all = Array.from(own.mean, (_, l) => l);
  const visible = all.filter((l) => !mask[l]);
  const mean = own.mean.slice();
  const deviation = own.deviation.slice();
  for (const l of all) {
    if (!mask[l]) continue;
    let [weights, means, deviations] = [0, 0, 0];
    for (const v of visible) {
      const down = Math.floor(l / across) - Math.floor(v / across);
      const weight = Math.hypot(down, (l % across) - (v % across)) ** -POWER;
      weights += weight;
      means += weight * own.mean[v];
      deviations += weight * own.deviation[v];
    }
    mean[l] = weights ? means / weights : 0;
    deviation[l] = weights ? deviations / weights : 1;
  }
  return { mean, deviation };
}
