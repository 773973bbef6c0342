// Packs the boxes of a batch into one buffer of bytes, with the tables that the augment kernels read.
import { BLOCK, type Crop, layoutCrops, type Window } from '../../kernels/augment/layout.ts';
import { type Taps, tapStride } from '../../kernels/augment/coefficients.ts';
import { fail } from '../../engine/errors.ts';
import type { Sample } from './dataset.ts';
import { resizeBytes } from './resize.ts';
import type { Box, Placed } from './sampler.ts';

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

/**
 * Buffer sizes of a run so far and tables used in it: keep one for a run and batch size, so that its buffers settle at
 * once. A size that must grow grows to what this batch's whole images would need, which later boxes hardly ever pass.
 */
export interface Capacities {
  words: number;
  taps: number;
  mid: number;
  readonly cache: Map<string, Taps>;
}
export const newCapacities = (): Capacities => ({ words: 0, taps: 0, mid: 0, cache: new Map() });

/** 128 MiB. */
const DEFAULT_BINDING = 2 ** 27;
/**
 * What the boxes of a batch may take on the host, whatever a buffer may hold: 256 MiB, or four times what comes out. Photographs of many
 * megapixels are resized as they arrive.
 */
const roomFor = (out: number, limit: number): number => Math.min(limit, Math.max(2 ** 28, 4 * out));

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
  const room = roomFor(count * small, limit);
  const boxes: { data: Uint8Array; height: number; width: number; flip: boolean; window?: Window }[] = new Array(count);
  let waiting = count;
  let bytes = 0;
  let mid = 0;
  /** What the same images would need uncropped. */
  const uncropped = { bytes: 0, mid: 0, taps: 0 };
  return {
    add(slot: number, { data, height, width, channels }: Sample, { box, flip, window }: Placed): void {
      if (channels !== to.chans) fail(`loader: images have ${channels} channels, the model takes ${to.chans}`);
      if (data.length !== height * width * channels) {
        fail(`loader: an image of ${height}x${width}x${channels} has ${data.length} bytes`);
      }
      waiting--;
      const whole = cut(data, width * channels, box, channels);
      let kept: (typeof boxes)[number] = { data: whole, height: box.height, width: box.width, flip, window };
      // What does not fit together is resized here already: the same bits, slower.
      const tooLarge = bytes + kept.data.length > room - waiting * small;
      if (tooLarge || mid + midBytes(box.height, to) > limit - waiting * smallMid) {
        kept = { data: resizedHere({ ...kept, channels }, to), height: to.height, width: to.width, flip };
      }
      boxes[slot] = kept;
      uncropped.bytes += data.length;
      uncropped.mid += midBytes(height, to);
      uncropped.taps += tapWords({ height, width }, to);
      bytes += kept.data.length;
      mid += midBytes(kept.height, to);
    },
    finish(): Packed {
      let offset = 0;
      const crops = boxes.map(({ data, height, width, flip, window }): Crop => {
        offset += data.length;
        return { offset: offset - data.length, pitch: width * to.chans, height, width, flip, window };
      });
      const layout = layoutCrops(crops, to, capacities.cache);
      capacities.words = grown(
        capacities.words,
        Math.ceil(offset / 4),
        Math.ceil(uncropped.bytes / 4),
        Math.floor(room / 4),
      );
      capacities.taps = grown(capacities.taps, layout.taps.length, uncropped.taps);
      capacities.mid = grown(capacities.mid, layout.mid, uncropped.mid / 4, Math.floor(limit / 4));
      const pixels = new Uint32Array(capacities.words);
      const target = new Uint8Array(pixels.buffer);
      for (const [i, { data }] of boxes.entries()) target.set(data, crops[i].offset);
      const taps = new Int32Array(capacities.taps);
      taps.set(layout.taps);
      return { pixels, images: layout.images, taps, mid_words: capacities.mid };
    },
  };
}

/** What the kernels would make of a box, on the host. */
function resizedHere(
  { window, channels, ...box }: { data: Uint8Array; height: number; width: number; channels: number; window?: Window },
  to: PackTo,
): Uint8Array {
  if (!window) return resizeBytes({ ...box, channels }, to);
  const whole = resizeBytes({ ...box, channels }, window);
  return cut(whole, window.width * channels, { ...window, height: to.height, width: to.width }, channels);
}

/** Bytes of the intermediate of an image with so many lines. */
const midBytes = (lines: number, { width, chans }: PackTo): number =>
  Math.ceil((lines * width * chans) / (4 * BLOCK)) * 4 * BLOCK;

/** Words of one image's tables, by itself. */
const tapWords = (image: { height: number; width: number }, to: PackTo): number =>
  tapStride(image.height, to.height) * to.height + tapStride(image.width, to.width) * to.width;

/** The capacity itself while it suffices, else the larger of both needs, rounded up to an eighth of its power of two. */
function grown(capacity: number, need: number, generous: number, limit = Number.POSITIVE_INFINITY): number {
  if (need <= capacity) return capacity;
  const most = Math.max(need, generous);
  const step = 2 ** Math.max(6, Math.floor(Math.log2(most)) - 3);
  return Math.min(limit, Math.ceil(most / step) * step);
}

/** What a run over whole images of one size ends up with, which its crops do not pass. */
export function capacitiesFor(
  count: number,
  image: { readonly height: number; readonly width: number },
  to: PackTo,
): Omit<Capacities, 'cache'> {
  const limit = to.maxBytes ?? DEFAULT_BINDING;
  const words = Math.ceil((count * image.height * image.width * to.chans) / 4);
  const taps = count * tapWords(image, to);
  const mid = (count * midBytes(image.height, to)) / 4;
  const room = roomFor(count * to.height * to.width * to.chans, limit);
  return {
    words: grown(0, Math.min(words, Math.floor(room / 4)), words, Math.floor(room / 4)),
    taps: grown(0, taps, taps),
    mid: grown(0, Math.min(mid, Math.floor(limit / 4)), mid, Math.floor(limit / 4)),
  };
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
