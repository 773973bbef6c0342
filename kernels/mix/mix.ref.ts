// Mixup, cutmix and random erasing, value by value.
import { philox4x32 } from '../random/philox.ts';

export interface Sizes {
  batch: number;
  chans: number;
  height: number;
  width: number;
}

export function blend(
  { x, how, y }: { x: Float64Array; how: Float64Array; y: Float64Array },
  { batch, chans, height, width }: Sizes,
): void {
  const each = chans * height * width;
  const [lambda, top, left, bottom, right] = how;
  for (let i = 0; i < batch * each; i++) {
    const partner = x[(batch - 1 - Math.floor(i / each)) * each + (i % each)];
    const [row, column] = [Math.floor(i / width) % height, i % width];
    const inside = row >= top && row < bottom && column >= left && column < right;
    y[i] = bottom > top ? (inside ? partner : x[i]) : lambda * x[i] + (1 - lambda) * partner;
  }
}

export function erase(
  arrays: { x: Float64Array; boxes: Uint32Array; ids: Uint32Array; clock: Uint32Array; y: Float64Array },
  { batch, chans, height, width, seed, stream }: Sizes & { seed: number; stream: number },
): void {
  const { x, boxes, ids, clock, y } = arrays;
  const each = chans * height * width;
  for (let i = 0; i < batch * each; i++) {
    const image = Math.floor(i / each);
    const [top, left, h, w] = boxes.subarray(4 * image);
    const [row, column] = [Math.floor(i / width) % height, i % width];
    y[i] = x[i];
    if (row < top || row >= top + h || column < left || column >= left + w) continue;
    const words = philox4x32([i % each, ids[image], clock[0], 0], [seed, stream]);
    const radius = Math.sqrt(-2 * Math.log(((words[0] >>> 8) + 1) / 2 ** 24));
    y[i] = radius * Math.cos(2 * Math.PI * ((words[1] >>> 8) / 2 ** 24 - 0.5));
  }
}
