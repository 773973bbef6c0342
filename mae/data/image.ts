// One image file to RGB bytes, with the very values of PIL's `Image.open(path).convert('RGB')` on 8-bit JPEG, PNG and WebP:
// alpha is dropped, the EXIF orientation and colour profiles are ignored (as torchvision ignores them), CMYK by PIL's formula.
// 16-bit PNGs keep their high byte; PIL clips them.
import { fail } from '../../engine/errors.ts';
import type { Sample } from './dataset.ts';
import { loadSharp } from './sharp.ts';

/** Decodes one file. Fails with a message that names it. */
export async function readImage(path: string, label = -1): Promise<Sample> {
  const sharp = await loadSharp();
  try {
    // Damage fails, as in PIL; mere warnings do not.
    const image = sharp(path, { failOn: 'error', ignoreIcc: true });
    const cmyk = /\.jpe?g$/i.test(path) && (await image.metadata()).space === 'cmyk';
    const pixels = cmyk
      ? image.pipelineColourspace('cmyk').toColourspace('cmyk')
      : image.toColourspace('srgb').removeAlpha();
    const { data, info } = await pixels.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    const { height, width } = info;
    return {
      data: cmyk ? cmykToRgb(data) : info.channels === 3 ? data : greyToRgb(data),
      height,
      width,
      channels: 3,
      label,
    };
  } catch (error) {
    const why = (error as Error).message.split('\n')[0];
    return fail(`image ${path} cannot be read (${why}): replace it or take it out of the folder`);
  }
}

function greyToRgb(grey: Uint8Array): Uint8Array {
  const rgb = new Uint8Array(3 * grey.length);
  for (let i = 0; i < rgb.length; i++) rgb[i] = grey[Math.floor(i / 3)];
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
