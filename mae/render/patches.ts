// Where the numbers of patches (L, p * p * C) lie in an image (C, H, W), and back.
import { type EncoderConfig, gridOf, patchValues } from '../model/config.ts';

/** Where element e = (i * p + j) * C + c of patch l lies in an image (C, H, W). */
function eachPixel(config: EncoderConfig, visit: (l: number, e: number, at: number) => void): void {
  const { patch_size: p, in_chans: chans, img_size } = config;
  const [height, width] = img_size;
  const [down, across] = gridOf(config);
  for (let l = 0; l < down * across; l++) {
    const [top, left] = [Math.floor(l / across) * p, (l % across) * p];
    let e = 0;
    for (let i = 0; i < p; i++)
      for (let j = 0; j < p; j++)
        for (let c = 0; c < chans; c++, e++) visit(l, e, (c * height + top + i) * width + left + j);
  }
}

/** (L, p * p * C) to (C, H, W). */
export function unpatchify(patches: Float32Array, config: EncoderConfig): Float32Array {
  const size = patchValues(config);
  const img = new Float32Array(patches.length);
  eachPixel(config, (l, e, at) => {
    img[at] = patches[l * size + e];
  });
  return img;
}

/** (C, H, W) to (L, p * p * C). */
export function patchify(img: Float32Array, config: EncoderConfig): Float32Array {
  const size = patchValues(config);
  const patches = new Float32Array(img.length);
  eachPixel(config, (l, e, at) => {
    patches[l * size + e] = img[at];
  });
  return patches;
}

/** A number for every patch (L) to one for every pixel (H * W). */
export function spread(values: ArrayLike<number>, config: EncoderConfig): Float32Array {
  const pixels = new Float32Array(config.img_size[0] * config.img_size[1]);
  eachPixel({ ...config, in_chans: 1 }, (l, _, at) => {
    pixels[at] = values[l];
  });
  return pixels;
}

/** The patch that holds a pixel. */
export function patchAt(x: number, y: number, config: EncoderConfig): number {
  const { patch_size: p } = config;
  return Math.floor(y / p) * gridOf(config)[1] + Math.floor(x / p);
}

/** Rows and columns of a patch's upper left pixel. */
export function cornerOf(patch: number, config: EncoderConfig): { top: number; left: number } {
  const across = gridOf(config)[1];
  return { top: Math.floor(patch / across) * config.patch_size, left: (patch % across) * config.patch_size };
}
