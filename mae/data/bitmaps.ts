// Images that a page has: files that were picked or dropped, bytes that were fetched. The browser decodes them, by the rules of README.md.
import { fail } from '../../engine/errors.ts';
import { DamagedImage } from './damage.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD, type Sample } from './dataset.ts';

/** What a set of images that a page has is called, and what is known of them. */
export interface BitmapOptions {
  readonly name?: string;
  /** Names of the classes, and of every image which of them. */
  readonly classes?: readonly string[];
  readonly labels?: readonly number[];
  /** Per channel, of values in [0, 1]; ImageNet's unless said. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** What is used of a page; the project is compiled without the types of one. */
interface Bitmap {
  readonly width: number;
  readonly height: number;
  close(): void;
}
interface Context {
  fillStyle: string;
  fillRect(x: number, y: number, width: number, height: number): void;
  drawImage(image: Bitmap, x: number, y: number): void;
  getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
}
interface Browser {
  createImageBitmap?(blob: Blob, options: object): Promise<Bitmap>;
  OffscreenCanvas: new (width: number, height: number) => { getContext(kind: '2d', options: object): Context };
}

/** 16,384 x 16,384, as in Node. */
const MOST_PIXELS = 2 ** 28;

/**
 * A set of images as training, evaluation and `reconstruct` take it. Pixels are the very ones that Node's have; of transparent and CMYK images
 * the browser rounds otherwise, by at most 1.
 * @throws where there is no `createImageBitmap`, as outside of browsers; `read` throws DamagedImage, which names the file
 */
export function bitmaps(blobs: readonly Blob[], options: BitmapOptions = {}): Dataset {
  const { name = 'images', classes = null, labels, mean = IMAGENET_MEAN, std = IMAGENET_STD } = options;
  if (!browser().createImageBitmap)
    fail('bitmaps: there is no createImageBitmap here: it decodes images in browsers; in Node, imageFiles does');
  if (labels && labels.length !== blobs.length)
    fail(`bitmaps: there are ${blobs.length} images and ${labels.length} labels: give one for each`);
  const label = labels && ((index: number) => labels[index]);
  const read = (index: number) => decoded(blobs[index], nameOf(blobs[index], index), labels?.[index] ?? -1);
  return { name, length: blobs.length, classes, channels: 3, mean, std, read, label };
}

const browser = () => globalThis as unknown as Browser;
const nameOf = (blob: Blob, index: number): string => (blob as { name?: string }).name ?? `number ${index}`;

async function decoded(blob: Blob, name: string, label: number): Promise<Sample> {
  const { createImageBitmap, OffscreenCanvas } = browser();
  const damaged = (why: string) => new DamagedImage(name, why, 'leave it out');
  // As they are in the file: no profile is applied.
  const how = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' };
  const bitmap = await createImageBitmap!(blob, how).catch((error: Error) => {
    throw damaged(error.message);
  });
  try {
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS) throw damaged(`${width} x ${height} pixels are more than ${MOST_PIXELS}`);
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const { data: rgba } = context.getImageData(0, 0, width, height);
    const data = new Uint8Array(3 * width * height);
    for (let i = 0; i < data.length; i++) data[i] = rgba[i + Math.floor(i / 3)];
    return { data, height, width, channels: 3, label };
  } finally {
    bitmap.close();
  }
}
