// Packs the boxes of a batch into one buffer of bytes, with the tables that the augment kernels read.
import { BLOCK, type Crop, layoutCrops } from '../../kernels/augment/layout.ts';
import type { Taps } from '../../kernels/augment/coefficients.ts';
import { fail } from '../../engine/errors.ts';
import type { Sample } from './dataset.ts';
import { resizeBytes } from './resize.ts';
import type { Box } from './sampler.ts';

/** What a batch needs on the device; lengths are capacities, so that batches of a run share their plans. */
export interface Packed {
  /** Bytes of all boxes, four to a word. */
  readonly pixels: Uint32Array;
  /** (batch, 10): kernels/augment/layout.ts. */
  readonly images: Uint32Array;
  readonly taps: Int32Array;
  /** Words of the intermediate between the two passes. */
  readonly mid_words: number;
}

/** The size of the images that come out, and what one buffer may hold. */
export interface PackTo {
  readonly chans: number;
  readonly height: number;
  readonly width: number;
  /** Bytes of the largest storage buffer binding; WebGPU's default where not given. */
  readonly maxBytes?: number;
}

/** Capacities of a run so far and tables used in it: keep one for a run, so that its buffers settle on one size. */
export interface Capacities {
  words: number;
  taps: number;
  mid: number;
  readonly cache: Map<string, Taps>;
}
export const newCapacities = (): Capacities => ({ words: 0, taps: 0, mid: 0, cache: new Map() });

/** 128 MiB. */
const DEFAULT_BINDING = 2 ** 27;

/** Collects `count` boxes in any order of arrival. */
export function packer(count: number, to: PackTo, capacities: Capacities) {
  const limit = to.maxBytes ?? DEFAULT_BINDING;
  const small = to.height * to.width * to.chans;
  const smallMid = midBytes(to.height, to);
  if (count * smallMid > limit) {
    fail(
      `loader: ${count} images of ${to.height}x${to.width}x${to.chans} need ${count * smallMid} bytes, ` +
        `one buffer holds ${limit}: lower batch_size (and raise accum_iter)`,
    );
  }
  const boxes: { data: Uint8Array; height: number; width: number; flip: boolean }[] = new Array(count);
  let waiting = count;
  let bytes = 0;
  let mid = 0;
  return {
    add(slot: number, { data, height, width, channels }: Sample, box: Box, flip: boolean): void {
      if (channels !== to.chans) fail(`loader: images have ${channels} channels, the model takes ${to.chans}`);
      if (data.length !== height * width * channels) {
        fail(`loader: an image of ${height}x${width}x${channels} has ${data.length} bytes`);
      }
      waiting--;
      let kept = { data: cut(data, width * channels, box, channels), height: box.height, width: box.width, flip };
      // What does not fit together is resized here already: the same bits, slower.
      const tooLarge = bytes + kept.data.length > limit - waiting * small;
      if (tooLarge || mid + midBytes(box.height, to) > limit - waiting * smallMid) {
        kept = { data: resizeBytes({ ...kept, channels }, to), height: to.height, width: to.width, flip };
      }
      boxes[slot] = kept;
      bytes += kept.data.length;
      mid += midBytes(kept.height, to);
    },
    finish(): Packed {
      let offset = 0;
      const crops = boxes.map(({ data, height, width, flip }): Crop => {
        offset += data.length;
        return { offset: offset - data.length, pitch: width * to.chans, height, width, flip };
      });
      const layout = layoutCrops(crops, to, capacities.cache);
      capacities.words = grown(capacities.words, Math.ceil(offset / 4), limit);
      capacities.taps = grown(capacities.taps, layout.taps.length, limit);
      capacities.mid = grown(capacities.mid, layout.mid, limit);
      const pixels = new Uint32Array(capacities.words);
      const target = new Uint8Array(pixels.buffer);
      for (const [i, { data }] of boxes.entries()) target.set(data, crops[i].offset);
      const taps = new Int32Array(capacities.taps);
      taps.set(layout.taps);
      return { pixels, images: layout.images, taps, mid_words: capacities.mid };
    },
  };
}

/** Bytes of the intermediate of an image with so many lines. */
const midBytes = (lines: number, { width, chans }: PackTo): number =>
  Math.ceil((lines * width * chans) / (4 * BLOCK)) * 4 * BLOCK;

/** The capacity itself while it suffices, else the next power of two (at most what a buffer holds). */
function grown(capacity: number, need: number, limit: number): number {
  if (need <= capacity) return capacity;
  return Math.min(Math.floor(limit / 4), 2 ** Math.ceil(Math.log2(Math.max(need, 64))));
}

/** A copy of the box's pixels. */
function cut(data: Uint8Array, pitch: number, box: Box, channels: number): Uint8Array {
  const row = box.width * channels;
  const out = new Uint8Array(box.height * row);
  for (let y = 0; y < box.height; y++) {
    const from = (box.top + y) * pitch + box.left * channels;
    out.set(data.subarray(from, from + row), y * row);
  }
  return out;
}
