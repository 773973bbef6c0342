// The kernels' resize on the host, bit for bit (kernels/augment): for the few images too large to be sent to the device.
import { bicubicTaps, PRECISION_BITS, type Taps } from '../../kernels/augment/coefficients.ts';

interface Pixels {
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** (height, width, channels) bytes to another height and width, as PIL's bicubic. */
export function resizeBytes(
  { data, height, width, channels }: Pixels,
  to: { height: number; width: number },
): Uint8Array {
  const row = to.width * channels;
  const mid = new Uint8Array(height * row);
  const across = bicubicTaps(width, to.width);
  for (let y = 0; y < height; y++) {
    const from = y * width * channels;
    for (let i = 0; i < row; i++) {
      const c = i % channels;
      mid[y * row + i] = weighted(data, from + c, channels, across, (i - c) / channels);
    }
  }
  const out = new Uint8Array(to.height * row);
  const down = bicubicTaps(height, to.height);
  for (let y = 0; y < to.height; y++) {
    for (let i = 0; i < row; i++) out[y * row + i] = weighted(mid, i, row, down, y);
  }
  return out;
}

function weighted(bytes: Uint8Array, from: number, step: number, { stride, records }: Taps, place: number): number {
  const record = place * stride;
  const count = records[record + 1];
  let at = from + records[record] * step;
  let sum = 1 << (PRECISION_BITS - 1);
  for (let k = 0; k < count; k++) {
    sum += bytes[at] * records[record + 2 + k];
    at += step;
  }
  return Math.min(255, Math.max(0, sum >> PRECISION_BITS));
}
