// Lays a batch of crops out for augment.horizontal and augment.vertical: the per-image table and the coefficient tables.
import { fail } from '../errors.ts';
import { bicubicTaps, type Taps } from './coefficients.ts';

/** Words of a per-image record; the order is the kernels' own (see the IMAGE_ constants there). */
export const IMAGE_WORDS = 10;
/** Words of the intermediate that one workgroup of augment.horizontal owns; every image starts at a multiple. */
export const BLOCK = 64;

/** The box of one image within the packed bytes: it alone is resized, as PIL does after a crop. */
export interface Crop {
  /** Byte of the box's first pixel. */
  readonly offset: number;
  /** Bytes from one line of the packed image to the next. */
  readonly pitch: number;
  /** Size of the box in pixels. */
  readonly height: number;
  readonly width: number;
  readonly flip: boolean;
  /** Of an evaluation's centre crop: the size that the box is resized to as a whole, and where in that the output begins. */
  readonly window?: Window;
}

/** In pixels of the whole resized image. */
export interface Window {
  readonly height: number;
  readonly width: number;
  readonly top: number;
  readonly left: number;
}

/** Where the crops of a batch lie in the buffers of the two passes, and how many words these take. */
export interface Layout {
  /** (batch, IMAGE_WORDS) u32. */
  readonly images: Uint32Array;
  /** i32 records of all axes; equal sizes share one. */
  readonly taps: Int32Array;
  /** Words of the intermediate. */
  readonly mid: number;
}

/** Tables for crops of `chans` interleaved bytes a pixel, resized to height x width. `cache` keeps taps between batches. */
export function layoutCrops(
  crops: readonly Crop[],
  { chans, height, width }: { chans: number; height: number; width: number },
  cache: Map<string, Taps> = new Map(),
): Layout {
  // One for every size of box that occurs: kept few, for sets of large photographs.
  if (cache.size > 1000) cache.clear();
  const used = new Map<Taps, number>();
  let words = 0;
  const place = (from: number, to: number, whole = to, first = 0): [offset: number, stride: number] => {
    const key = `${from}>${whole}@${first}+${to}`;
    const taps = cache.get(key) ?? part(bicubicTaps(from, whole), first, to);
    cache.set(key, taps);
    const offset = used.get(taps) ?? words;
    if (offset === words) words += taps.records.length;
    used.set(taps, offset);
    return [offset, taps.stride];
  };
  const images = new Uint32Array(crops.length * IMAGE_WORDS);
  let mid = 0;
  for (const [i, c] of crops.entries()) {
    const across = place(c.width, width, c.window?.width, c.window?.left);
    const down = place(c.height, height, c.window?.height, c.window?.top);
    images.set([c.offset, c.pitch, c.height, c.width, mid, ...across, ...down, c.flip ? 1 : 0], i * IMAGE_WORDS);
    mid += Math.ceil((c.height * width * chans) / (4 * BLOCK)) * BLOCK;
  }
  const taps = new Int32Array(words);
  for (const [t, offset] of used) taps.set(t.records, offset);
  return { images, taps, mid };
}

/** `count` output places from `first` on: what is cut off after a resize need not be computed. */
function part({ stride, records }: Taps, first: number, count: number): Taps {
  if (first < 0 || (first + count) * stride > records.length)
    fail(`resize: places ${first} to ${first + count} are not within ${records.length / stride}`);
  return { stride, records: records.subarray(first * stride, (first + count) * stride) };
}

/** (chans, 256) f32: what each byte becomes, in torchvision's arithmetic (v / 255, less mean, over std, each rounded to f32). */
export function normalizeTable(mean: readonly number[], std: readonly number[]): Float32Array {
  if (mean.length !== std.length) fail(`normalize: ${mean.length} means but ${std.length} deviations`);
  return Float32Array.from({ length: mean.length * 256 }, (_, i) => {
    const c = i >> 8;
    const centred = Math.fround(Math.fround((i & 255) / 255) - Math.fround(mean[c]));
    return Math.fround(centred / Math.fround(std[c]));
  });
}
