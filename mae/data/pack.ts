// Packs the boxes of a batch for the device, with the tables that the augment kernels read. It is done by parts of a batch, wherever they are read.
import { BLOCK, type Crop, layoutCrops, type Window } from '../../kernels/augment/layout.ts';
import { type Taps, tapStride } from '../../kernels/augment/coefficients.ts';
import { fail } from '../../engine/errors.ts';
import type { Sample } from './dataset.ts';
import { resizeBytes } from './resize.ts';
import type { Box, Placed } from './sampler.ts';

/** What a batch needs on the device; lengths are capacities, so that batches of a run share their plans. */
export interface Packed {
  /** Bytes of all boxes, four to a word, in pieces that lie one behind the other. Every box begins with a word. */
  readonly pixels: readonly Uint32Array[];
  /** Words of the buffer for them. */
  readonly words: number;
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

/** Bytes that boxes may take on the host, and their intermediate on the device. */
export interface Room {
  readonly bytes: number;
  readonly mid: number;
}

/** A box as it lies in the pieces: its size and whether it is mirrored, and of which image it is. */
export interface PackedBox {
  readonly height: number;
  readonly width: number;
  readonly flip: boolean;
  readonly window?: Window;
  readonly image: { readonly height: number; readonly width: number };
}

/** Boxes of images that follow one another in a batch. */
export interface Part {
  /** Place of the first in the batch. */
  readonly first: number;
  readonly boxes: readonly PackedBox[];
  readonly pieces: readonly Uint32Array[];
}

/** 128 MiB. */
const DEFAULT_BINDING = 2 ** 27;
/**
 * What the boxes of a batch may take on the host, whatever a buffer may hold: 256 MiB, or four times what comes out. Photographs of many
 * megapixels are resized as they arrive.
 */
const roomFor = (out: number, limit: number): number => Math.min(limit, Math.max(2 ** 28, 4 * out));
/** Boxes below this are copied together: a piece of its own costs more than that. */
const PIECE = 2 ** 16;

const wordsOf = (height: number, width: number, { chans }: PackTo): number => Math.ceil((height * width * chans) / 4);
const smallest = (to: PackTo): Room => ({ bytes: 4 * wordsOf(to.height, to.width, to), mid: midBytes(to.height, to) });

/** Of a batch of `count` images, what `part` of them may take. @throws where no buffer can hold the batch */
export function roomOf(part: number, count: number, to: PackTo): Room {
  const limit = to.maxBytes ?? DEFAULT_BINDING;
  const { bytes, mid } = smallest(to);
  if (count * mid > limit) {
    fail(
      `loader: ${count} images of ${to.height}x${to.width}x${to.chans} need ${count * mid} bytes, ` +
        `one buffer holds ${limit}: lower batch_size (and raise accum_iter)`,
    );
  }
  return { bytes: (roomFor(count * bytes, limit) * part) / count, mid: (limit * part) / count };
}

/** Collects the boxes of `count` images, which follow one another from place `first` on, in any order of arrival. */
export function packer(first: number, count: number, to: PackTo, room: Room) {
  const small = smallest(to);
  const boxes: (PackedBox & { readonly data: Uint32Array })[] = new Array(count);
  let waiting = count;
  let [bytes, mid] = [0, 0];
  return {
    add(slot: number, { data, height, width, channels }: Sample, { box, flip, window }: Placed): void {
      if (channels !== to.chans) fail(`loader: images have ${channels} channels, the model takes ${to.chans}`);
      if (data.length !== height * width * channels) {
        fail(`loader: an image of ${height}x${width}x${channels} has ${data.length} bytes`);
      }
      waiting--;
      const whole = cut(data, width * channels, box, channels);
      const image = { height, width };
      let kept = { data: whole, height: box.height, width: box.width, flip, window, image };
      // What does not fit together is resized here already: the same bits, slower.
      const tooLarge = bytes + whole.byteLength > room.bytes - waiting * small.bytes;
      if (tooLarge || mid + midBytes(box.height, to) > room.mid - waiting * small.mid) {
        const data = resizedHere({ ...kept, channels }, to);
        kept = { data, height: to.height, width: to.width, flip, window: undefined, image };
      }
      boxes[slot - first] = kept;
      bytes += kept.data.byteLength;
      mid += midBytes(kept.height, to);
    },
    /** What was added, in order; where one is missing a part ends. `left` of the room is for those. */
    finish(): { readonly parts: Part[]; readonly left: Room } {
      const parts: { first: number; boxes: PackedBox[]; pieces: Uint32Array[] }[] = [];
      let together: Uint32Array[] = [];
      const piece = (): void => {
        if (together.length) parts.at(-1)!.pieces.push(together.length === 1 ? together[0] : joined(together));
        together = [];
      };
      let before = -1;
      // Holes are left out by forEach.
      boxes.forEach(({ data, ...box }, i) => {
        if (i !== before + 1 || !parts.length) {
          piece();
          parts.push({ first: first + i, boxes: [], pieces: [] });
        }
        before = i;
        parts.at(-1)!.boxes.push(box);
        if (data.byteLength >= PIECE) piece();
        together.push(data);
        if (data.byteLength >= PIECE) piece();
      });
      piece();
      return { parts, left: { bytes: room.bytes - bytes, mid: room.mid - mid } };
    },
  };
}

/** A whole batch of its parts, in any order. */
export function layOut(parts: readonly Part[], to: PackTo, capacities: Capacities): Packed {
  const sorted = [...parts].sort((a, b) => a.first - b.first);
  const boxes = sorted.flatMap((part) => part.boxes);
  const limit = to.maxBytes ?? DEFAULT_BINDING;
  let words = 0;
  const crops = boxes.map(({ height, width, flip, window }): Crop => {
    const offset = 4 * words;
    words += wordsOf(height, width, to);
    return { offset, pitch: width * to.chans, height, width, flip, window };
  });
  const layout = layoutCrops(crops, to, capacities.cache);
  // What the same images would need uncropped.
  const uncropped = { words: 0, mid: 0, taps: 0 };
  for (const { image } of boxes) {
    uncropped.words += wordsOf(image.height, image.width, to);
    uncropped.mid += midBytes(image.height, to) / 4;
    uncropped.taps += tapWords(image, to);
  }
  const room = roomFor(boxes.length * smallest(to).bytes, limit);
  capacities.words = grown(capacities.words, words, uncropped.words, Math.floor(room / 4));
  capacities.taps = grown(capacities.taps, layout.taps.length, uncropped.taps);
  capacities.mid = grown(capacities.mid, layout.mid, uncropped.mid, Math.floor(limit / 4));
  const taps = new Int32Array(capacities.taps);
  taps.set(layout.taps);
  const pixels = sorted.flatMap(({ pieces }) => pieces);
  return { pixels, words: capacities.words, images: layout.images, taps, mid_words: capacities.mid };
}

/** What the kernels would make of a box, on the host. */
function resizedHere(
  {
    data,
    window,
    channels,
    height,
    width,
  }: { data: Uint32Array; height: number; width: number; channels: number; window?: Window },
  to: PackTo,
): Uint32Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, height * width * channels);
  const whole = resizeBytes({ data: bytes, height, width, channels }, window ?? to);
  const { top, left } = window ?? { top: 0, left: 0 };
  const box = { top, left, height: to.height, width: to.width };
  return cut(whole, (window ?? to).width * channels, box, channels);
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
  const words = count * wordsOf(image.height, image.width, to);
  const taps = count * tapWords(image, to);
  const mid = (count * midBytes(image.height, to)) / 4;
  const room = roomFor(count * smallest(to).bytes, limit);
  return {
    words: grown(0, Math.min(words, Math.floor(room / 4)), words, Math.floor(room / 4)),
    taps: grown(0, taps, taps),
    mid: grown(0, Math.min(mid, Math.floor(limit / 4)), mid, Math.floor(limit / 4)),
  };
}

/** A copy of the box's pixels, up to a whole word. */
function cut(data: Uint8Array, pitch: number, box: Box, channels: number): Uint32Array {
  const row = box.width * channels;
  const words = new Uint32Array(Math.ceil((box.height * row) / 4));
  const out = new Uint8Array(words.buffer);
  for (let y = 0; y < box.height; y++) {
    const from = (box.top + y) * pitch + box.left * channels;
    out.set(data.subarray(from, from + row), y * row);
  }
  return words;
}

function joined(arrays: readonly Uint32Array[]): Uint32Array {
  const out = new Uint32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    out.set(array, at);
    at += array.length;
  }
  return out;
}
