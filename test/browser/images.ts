// Images as a page decodes them.
import { bitmaps } from '../../mae/browser.ts';
import { TesseraeError } from '../../engine/index.ts';

export interface Decoded {
  readonly height: number;
  readonly width: number;
  readonly data: number[];
}

/** Of every address: the image, or the message of the typed error that reading it ends in. */
export async function decode(addresses: string[]): Promise<(Decoded | string)[]> {
  const blobs = addresses.map(async (address) => new File([await (await fetch(address)).blob()], address));
  const set = bitmaps(await Promise.all(blobs));
  const all = addresses.map(async (_, index) => {
    try {
      const { height, width, data } = await set.read(index);
      return { height, width, data: Array.from(data) };
    } catch (error) {
      if (!(error instanceof TesseraeError)) throw error;
      return error.message;
    }
  });
  return Promise.all(all);
}
