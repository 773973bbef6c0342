// One image file to RGB bytes. README.md beside this file says what is done with which kind of image, line by line.
import { open, stat } from 'node:fs/promises';
import { fail } from '../../engine/errors.ts';
import { Budget } from './budget.ts';
import type { Sample } from './dataset.ts';
import { DamagedImage } from './damage.ts';
import { decodeJpeg, MOST_FILE_BYTES } from './jpeg.ts';
import { loadSharp } from './sharp.ts';

/** Told by content, whatever the file is called. Drawings (SVG) are programs for a renderer: never. */
const FORMATS: readonly string[] = ['jpeg', 'png', 'webp', 'gif', 'tiff'];
/** 16,384 x 16,384: more than any camera takes, and 768 MiB decoded. */
const MOST_PIXELS = 2 ** 28;
/** What is decoded at the same time has so many bytes together; an image that is larger is decoded alone. */
const MOST_BYTES = 2 ** 29;
let budget = new Budget(MOST_BYTES);

/** Whether this thread may be kept busy by decoding: the main one has other work, and leaves it to the image library's threads. */
let here = false;

/** From now on this thread's images are decoded within a budget that it shares, usual JPEG files by itself. */
export function decodeHere(memory: SharedArrayBuffer): void {
  budget = new Budget(MOST_BYTES, memory);
  here = true;
}

/** Decodes one file. @throws DamagedImage, which names it */
export const readImage = (path: string, label = -1): Promise<Sample> => decodeImage(path, path, label);

/** Decodes a file, or the bytes of one that are called `path` in messages. @throws DamagedImage */
export async function decodeImage(source: string | Uint8Array, path: string, label: number): Promise<Sample> {
  if (here) {
    // What cannot be read is told below.
    const bytes = typeof source === 'string' ? await readSmall(source).catch(() => null) : source;
    const picture = bytes && (await decodeJpeg(bytes));
    if (picture) {
      const { data, width, height, channels } = picture;
      return { data: toRgb(data, channels), width, height, channels: 3, label };
    }
  }
  const sharp = await loadSharp();
  try {
    return await decoded(sharp, source, label, (bytes, work) => budget.within(bytes, work));
  } catch {
    // The library keeps one error for all threads, so that the reason may be another image's. Nothing runs beside a second try.
    return budget.within(Number.POSITIVE_INFINITY, () =>
      decoded(sharp, source, label, (_, work) => work()).catch(async (error: Error) => {
        // The library takes a file without bytes for one of a kind that it does not know.
        throw new DamagedImage(path, (await sizeOf(source)) === 0 ? 'it is empty' : error.message.split('\n')[0]);
      }),
    );
  }
}

const sizeOf = async (source: string | Uint8Array): Promise<number | undefined> =>
  typeof source === 'string' ? (await stat(source).catch(() => null))?.size : source.length;

/** A file's bytes; null where it has more than are decoded here, be it a JPEG file or not. */
async function readSmall(path: string): Promise<Uint8Array | null> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    return size <= MOST_FILE_BYTES ? await file.readFile() : null;
  } finally {
    await file.close();
  }
}

/** `within`: called with the bytes that a piece of work takes. */
async function decoded(
  sharp: Awaited<ReturnType<typeof loadSharp>>,
  source: string | Uint8Array,
  label: number,
  within: <T>(bytes: number, work: () => Promise<T>) => Promise<T>,
): Promise<Sample> {
  // Damage fails, as in PIL; mere warnings do not.
  const options = { failOn: 'error', ignoreIcc: true, limitInputPixels: MOST_PIXELS, autoOrient: true } as const;
  const image = sharp(source, options);
  const { format, space, width, height, channels } = await within(1, () => image.metadata());
  if (!FORMATS.includes(format)) fail(`${format} files are not read`);
  const cmyk = space === 'cmyk';
  const pixels = cmyk ? image.pipelineColourspace('cmyk').toColourspace('cmyk') : image.toColourspace('srgb');
  const { data, info } = await within(width * height * channels, () =>
    pixels.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }),
  );
  const rgb = cmyk ? cmykToRgb(data) : toRgb(data, info.channels);
  return { data: rgb, height: info.height, width: info.width, channels: 3, label };
}

/** Grey is repeated; what is transparent lies on white. */
function toRgb(data: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return data;
  const alpha = channels % 2 === 0;
  const grey = channels < 3;
  const pixels = data.length / channels;
  const rgb = new Uint8Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const from = pixel * channels;
    const a = alpha ? data[from + channels - 1] : 255;
    for (let c = 0; c < 3; c++) {
      const value = data[from + (grey ? 0 : c)];
      rgb[3 * pixel + c] = a === 255 ? value : Math.round(255 - (a * (255 - value)) / 255);
    }
  }
  return rgb;
}

/** (255 - K) - C (255 - K) / 255, the quotient rounded: what PIL does; the library's own conversion is off by up to 55. */
function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let i = 0; i < rgb.length; i++) {
    const pixel = 4 * Math.floor(i / 3);
    const white = 255 - cmyk[pixel + 3];
    const product = cmyk[pixel + (i % 3)] * white + 128;
    rgb[i] = white - (((product >> 8) + product) >> 8);
  }
  return rgb;
}
