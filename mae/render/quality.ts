// How near removed patches come to the original: PSNR, and SSIM (Wang, Bovik, Sheikh, Simoncelli 2004), of these patches alone.
import type { EncoderConfig } from '../model/config.ts';
import { spread } from './patches.ts';

/** Of one rebuilt image. */
export interface Quality {
  /** In dB; infinite where all is equal, NaN where nothing was removed. */
  readonly psnr: number;
  /** At most 1. */
  readonly ssim: number;
}

/**
 * Of two images (C, H, W) in [0, 1], the second being the first with its removed patches as they were predicted.
 * psnr: 10 log10(1 / mean squared difference over the values of removed patches).
 * ssim: the map that scikit-image's structural_similarity gives with gaussian_weights, sigma 1.5 (11 x 11), no sample covariance and
 * data_range 1, for each channel; its mean over the pixels of removed patches. Windows reach over into visible patches.
 */
export function qualityOf(
  original: Float32Array,
  pasted: Float32Array,
  mask: ArrayLike<number>,
  config: EncoderConfig,
): Quality {
  const removed = spread(mask, config);
  const area = removed.length;
  let [count, squares, likeness] = [0, 0, 0];
  for (let c = 0; c < config.in_chans; c++) {
    const channel = (of: Float32Array) => of.subarray(c * area, (c + 1) * area);
    const map = ssimMap(channel(original), channel(pasted), config.img_size);
    for (let i = 0; i < area; i++) {
      if (!removed[i]) continue;
      count++;
      squares += (original[c * area + i] - pasted[c * area + i]) ** 2;
      likeness += map[i];
    }
  }
  return { psnr: count ? -10 * Math.log10(squares / count) : Number.NaN, ssim: likeness / count };
}

const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;
const SIGMA = 1.5;
const REACH = 5;

const WINDOW = (() => {
  const weights = Array.from({ length: 2 * REACH + 1 }, (_, i) => Math.exp(-((i - REACH) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
})();

/** SSIM around every pixel of two channels (H * W). */
export function ssimMap(x: Float32Array, y: Float32Array, size: readonly [number, number]): Float64Array {
  const mean = (of: (i: number) => number): Float64Array =>
    blurred(
      Float64Array.from(x, (_, i) => of(i)),
      size,
    );
  const [ux, uy] = [mean((i) => x[i]), mean((i) => y[i])];
  const [xx, yy, xy] = [mean((i) => x[i] * x[i]), mean((i) => y[i] * y[i]), mean((i) => x[i] * y[i])];
  return ux.map((_, i) => {
    const [mx, my] = [ux[i], uy[i]];
    const [vx, vy, vxy] = [xx[i] - mx * mx, yy[i] - my * my, xy[i] - mx * my];
    return ((2 * mx * my + C1) * (2 * vxy + C2)) / ((mx * mx + my * my + C1) * (vx + vy + C2));
  });
}

/** Gaussian weights, along rows and then columns; beyond an edge the image is mirrored, edge pixels twice. */
function blurred(values: Float64Array, [height, width]: readonly [number, number]): Float64Array {
  const along = (from: Float64Array, length: number, step: number, startOf: (i: number) => number): Float64Array => {
    const to = new Float64Array(from.length);
    const places = Array.from({ length }, (_, at) => WINDOW.map((_, k) => mirrored(at + k - REACH, length)));
    for (let line = 0; line < from.length / length; line++) {
      const start = startOf(line);
      for (let at = 0; at < length; at++) {
        let sum = 0;
        for (let k = 0; k < WINDOW.length; k++) sum += WINDOW[k] * from[start + places[at][k] * step];
        to[start + at * step] = sum;
      }
    }
    return to;
  };
  const rows = along(values, width, 1, (line) => line * width);
  return along(rows, height, width, (line) => line);
}

/** …, 1, 0 | 0, 1, …, n - 1 | n - 1, n - 2, … */
function mirrored(at: number, n: number): number {
  const within = ((at % (2 * n)) + 2 * n) % (2 * n);
  return within < n ? within : 2 * n - 1 - within;
}
