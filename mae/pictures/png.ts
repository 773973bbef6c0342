// Pictures to PNG files.
import { writeFileAtomic } from '../../engine/node/files.ts';
import { loadSharp } from '../data/sharp.ts';
import type { Picture } from '../render/picture.ts';

export async function encodePng({ width, height, data }: Picture): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}

/** Writes the file whole or not at all. */
export async function writePng(path: string, picture: Picture): Promise<void> {
  await writeFileAtomic(path, await encodePng(picture));
}
