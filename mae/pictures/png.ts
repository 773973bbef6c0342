// Pictures to PNG files.
import { writeFileAtomic } from '../../engine/node/files.ts';
import { loadSharp } from '../data/sharp.ts';
import type { Picture } from '../render/picture.ts';

/** @param clear whether a row shows what is behind the picture */
export async function encodePng(picture: Picture, clear?: (row: number) => boolean): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const { width, height, data } = clear ? withAlpha(picture, clear) : picture;
  return sharp(data, { raw: { width, height, channels: clear ? 4 : 3 } })
    .png({ compressionLevel: 9 })
    .toBuffer();
}

/** Writes the file whole or not at all. */
export async function writePng(path: string, picture: Picture, clear?: (row: number) => boolean): Promise<void> {
  await writeFileAtomic(path, await encodePng(picture, clear));
}

/** (height, width, 4) */
function withAlpha({ width, height, data: rgb }: Picture, clear: (row: number) => boolean): Picture {
  const data = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) {
    data.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
    if (clear(Math.floor(i / width))) data[4 * i + 3] = 0;
  }
  return { width, height, data };
}
