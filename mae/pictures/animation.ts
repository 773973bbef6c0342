// Pictures of one size as an animation: WebP, or GIF in 256 colours, told by the file's name.
import { fail } from '../../engine/errors.ts';
import { writeFileAtomic } from '../../engine/node/files.ts';
import { loadSharp } from '../data/sharp.ts';
import type { Picture } from '../render/picture.ts';

export const ANIMATIONS = ['.webp', '.gif'] as const;
/** Of a side, by WebP's format. */
const MOST_PIXELS = 16383;

/** Frames one after the other, for so many milliseconds each, over and over. */
export async function encodeAnimation(
  frames: readonly Picture[],
  delay: readonly number[],
  format: (typeof ANIMATIONS)[number],
): Promise<Uint8Array> {
  const [{ width, height }] = frames;
  if (Math.max(width, height) > MOST_PIXELS)
    fail(`animation: ${width} x ${height} pixels are too many, a side may have ${MOST_PIXELS}: take fewer images`);
  const data = Buffer.concat(frames.map((frame) => frame.data));
  const sharp = await loadSharp();
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const;
  const image = sharp(data, { raw, limitInputPixels: false });
  const how = { loop: 0, delay: [...delay] };
  return (format === '.gif' ? image.gif(how) : image.webp({ ...how, quality: 88, effort: 4 })).toBuffer();
}

/** Writes the file whole or not at all. */
export async function writeAnimation(
  path: string,
  frames: readonly Picture[],
  delay: readonly number[],
): Promise<void> {
  const format = ANIMATIONS.find((ending) => path.toLowerCase().endsWith(ending)) ?? '.webp';
  await writeFileAtomic(path, await encodeAnimation(frames, delay, format));
}
