// PIL's bicubic resampling coefficients (Pillow's Resample.c: a = -0.5, support times scale, 22-bit fixed point), in f64 on the host.
import { fail } from '../errors.ts';

/** Fractional bits of a coefficient: 32 less 8 for the pixel less 2 for overshoot. */
export const PRECISION_BITS = 22;

/** How one axis is resampled: for every output place a record of `stride` words: first input, count, coefficients, zeros. */
export interface Taps {
  readonly stride: number;
  readonly records: Int32Array;
}

function bicubic(at: number): number {
  const x = Math.abs(at);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
  return 0;
}

/** Words of a record. */
export const tapStride = (from: number, to: number): number =>
  from === to ? 3 : 3 + 2 * Math.ceil(2 * Math.max(1, from / to));

/** Resamples an axis of `from` pixels to `to`; with equal sizes the copy that PIL makes when it skips the pass. */
export function bicubicTaps(from: number, to: number): Taps {
  if (!(Number.isInteger(from) && Number.isInteger(to) && from > 0 && to > 0)) {
    fail(`resize: sizes must be whole numbers >= 1, got ${from} to ${to}`);
  }
  if (from === to) {
    return {
      stride: 3,
      records: Int32Array.from({ length: 3 * to }, (_, i) => [i / 3, 1, 1 << PRECISION_BITS][i % 3]),
    };
  }
  const scale = from / to;
  const widen = Math.max(scale, 1);
  const support = 2 * widen;
  const stride = tapStride(from, to);
  const records = new Int32Array(stride * to);
  const weights = new Float64Array(stride);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(from, Math.trunc(center + support + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      weights[k] = bicubic((k + first - center + 0.5) * (1 / widen));
      sum += weights[k];
    }
    const record = records.subarray(i * stride, (i + 1) * stride);
    record[0] = first;
    record[1] = count;
    for (let k = 0; k < count; k++) {
      const w = (weights[k] / sum) * (1 << PRECISION_BITS);
      record[2 + k] = Math.trunc(w < 0 ? w - 0.5 : w + 0.5);
    }
  }
  return { stride, records };
}
