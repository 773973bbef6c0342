// Pixels and maps of numbers as RGB pictures: what panels, pages and reports put side by side.
import type { EncoderConfig } from '../model/config.ts';
import { heat } from './colours.ts';
import { cornerOf, spread } from './patches.ts';
import type { Picture } from './picture.ts';

/** What stands for a removed patch. */
const GREY = 128;
/** Errors of this much and more are shown alike: the same scale in every picture. */
export const WORST_ERROR = 0.3;

/** One channel is shown as grey, two as the first, of more the first three. */
const channel = (rgb: number, chans: number): number => (chans < 3 ? 0 : rgb);

function picture(config: EncoderConfig, at: (pixel: number, rgb: number) => number): Picture {
  const [height, width] = config.img_size;
  const data = new Uint8Array(height * width * 3);
  for (let i = 0; i < data.length; i++) data[i] = at(Math.floor(i / 3), i % 3);
  return { width, height, data };
}

/** Pixels (C, H, W) in [0, 1]. */
export function tileOf(pixels: Float32Array, config: EncoderConfig): Picture {
  const area = config.img_size[0] * config.img_size[1];
  return picture(config, (pixel, rgb) => Math.round(255 * pixels[channel(rgb, config.in_chans) * area + pixel]));
}

/** The image with its removed patches in grey. */
export function maskedTile(pixels: Float32Array, mask: ArrayLike<number>, config: EncoderConfig): Picture {
  const { data } = tileOf(pixels, config);
  const removed = spread(mask, config);
  return picture(config, (pixel, rgb) => (removed[pixel] ? GREY : data[3 * pixel + rgb]));
}

/** A map (H * W) in heat colours from 0 to `top`. */
export function heatTile(map: ArrayLike<number>, top: number, config: EncoderConfig): Picture {
  const colours = Array.from(map, (v) => heat(top > 0 ? v / top : 0));
  return picture(config, (pixel, rgb) => colours[pixel][rgb]);
}

/** The image in grey and dimmed under a map (H * W) in heat colours from 0 to `top`. */
export function overlayTile(
  pixels: Float32Array,
  map: ArrayLike<number>,
  top: number,
  config: EncoderConfig,
  strength = 0.65,
): Picture {
  const image = tileOf(pixels, config).data;
  const colours = heatTile(map, top, config).data;
  return picture(config, (pixel, rgb) => {
    const grey = (image[3 * pixel] + image[3 * pixel + 1] + image[3 * pixel + 2]) / 3;
    return Math.round(strength * colours[3 * pixel + rgb] + (1 - strength) * grey);
  });
}

/** A frame around a patch, drawn within it. */
export function framed(tile: Picture, patch: number, config: EncoderConfig): Picture {
  const data = tile.data.slice();
  const { top, left } = cornerOf(patch, config);
  const side = config.patch_size;
  const thick = Math.max(1, Math.round(side / 10));
  for (let i = 0; i < side; i++) {
    for (let j = 0; j < side; j++) {
      if (Math.min(i, j, side - 1 - i, side - 1 - j) >= thick) continue;
      data.set([0, 230, 255], 3 * ((top + i) * tile.width + left + j));
    }
  }
  return { ...tile, data };
}
