// What a packed batch becomes: its pixels as their buffer on the device holds them, and the images that the kernels make of those.
import { horizontal, vertical } from '../../kernels/augment/augment.ref.ts';
import type { Batch } from '../../mae/data/loader.ts';
import type { Packed, PackTo } from '../../mae/data/pack.ts';

/** All pieces, and zeros up to the buffer's end. */
export function wholePixels({ pixels, words }: Packed): Uint32Array {
  const whole = new Uint32Array(words);
  let at = 0;
  for (const piece of pixels) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** (batch, chans, height, width), with bytes as values. */
export function resized(batch: Batch, { chans, height, width }: PackTo): Float64Array {
  const { images, mid_words, ids } = batch;
  const problem = { chans, height, width, batch: ids.length };
  const mid = new Uint32Array(mid_words);
  horizontal({ pixels: wholePixels(batch), images, mid }, problem);
  const img = new Float64Array(ids.length * chans * height * width);
  vertical({ mid, images, img, table: Float64Array.from({ length: 768 }, (_, i) => i & 255) }, problem);
  return img;
}
