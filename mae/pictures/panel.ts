// The picture of MAE papers: rows of original | masked | reconstruction | pasted.
import { gridOf, type MaeConfig } from '../model/config.ts';
import { TEXT_HEIGHT, textWidth } from './font.ts';
import { blank, type Colour, paste, type Picture, write } from './picture.ts';

/** One image with what the model made of it. */
export interface Rebuilt {
  /** (C, H, W), normalised by mean and std as the model saw it. */
  readonly img: Float32Array;
  /** (L, p * p * C): predicted pixels, or normalised pixels where the model was trained with norm_pix_loss. */
  readonly pred: Float32Array;
  /** (L): 1 where the patch was removed. */
  readonly mask: ArrayLike<number>;
  /** Below the row. */
  readonly caption?: string;
}

export interface PanelOptions {
  readonly config: MaeConfig;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

const WHITE: Colour = [255, 255, 255];
const INK: Colour = [60, 60, 67];
const FAINT: Colour = [130, 130, 138];
/** What stands for a removed patch. */
const GREY = 128;
const COLUMNS = ['original', 'masked', 'reconstruction', 'pasted'] as const;
/** Small images are enlarged by the largest whole factor that keeps them below this many pixels. */
const TILE = 192;
const GAP = 8;
const MARGIN = 12;
const NOTE = "reconstruction with each patch's own mean and variance (oracle statistics)";

/** The four tiles of an image at its own size, in the order of the columns. */
export function tiles({ img, pred, mask }: Rebuilt, { config, mean, std }: PanelOptions): Picture[] {
  const [height, width] = config.img_size;
  const pixels = config.norm_pix_loss ? denormalisePatches(pred, img, config) : pred;
  const rebuilt = unpatchify(pixels, config);
  const masks = spread(mask, config);
  const show = (value: (at: number, pixel: number) => number | null): Picture => {
    const data = new Uint8Array(height * width * 3);
    for (let pixel = 0; pixel < height * width; pixel++) {
      for (let rgb = 0; rgb < 3; rgb++) {
        const c = channel(rgb, config.in_chans);
        const normalised = value(c * height * width + pixel, pixel);
        data[3 * pixel + rgb] = normalised === null ? GREY : toByte(normalised * std[c] + mean[c]);
      }
    }
    return { width, height, data };
  };
  return [
    show((at) => img[at]),
    show((at, pixel) => (masks[pixel] ? null : img[at])),
    show((at) => rebuilt[at]),
    show((at, pixel) => (masks[pixel] ? rebuilt[at] : img[at])),
  ];
}

/** The whole panel. All images have the size of `config`. */
export function panel(rows: readonly Rebuilt[], options: PanelOptions): Picture {
  const [height, width] = options.config.img_size;
  const scale = Math.max(1, Math.floor(TILE / Math.max(height, width)));
  const text = width * scale >= 2 * textWidth('reconstruction') ? 2 : 1;
  const column = Math.max(width * scale, text * textWidth('reconstruction')) + GAP;
  const line = text * TEXT_HEIGHT + GAP;
  const captions = rows.some((r) => r.caption) ? TEXT_HEIGHT + GAP : 0;
  const row = height * scale + GAP + captions;
  const noted = options.config.norm_pix_loss ? TEXT_HEIGHT + GAP : 0;
  const whole = 2 * MARGIN + COLUMNS.length * column - GAP;
  const picture = blank(
    noted ? Math.max(whole, 2 * MARGIN + textWidth(NOTE)) : whole,
    2 * MARGIN + line + rows.length * row - GAP + noted,
    WHITE,
  );
  for (const [c, name] of COLUMNS.entries()) {
    write(
      picture,
      name,
      MARGIN + c * column + Math.floor((column - GAP - text * textWidth(name)) / 2),
      MARGIN,
      text,
      INK,
    );
  }
  for (const [r, rebuilt] of rows.entries()) {
    const top = MARGIN + line + r * row;
    for (const [c, tile] of tiles(rebuilt, options).entries()) {
      paste(picture, tile, MARGIN + c * column + Math.floor((column - GAP - width * scale) / 2), top, scale);
    }
    if (rebuilt.caption) write(picture, rebuilt.caption, MARGIN, top + height * scale + GAP / 2, 1, FAINT);
  }
  if (noted) write(picture, NOTE, MARGIN, picture.height - MARGIN - TEXT_HEIGHT, 1, FAINT);
  return picture;
}

/** One channel is shown as grey, two as the first, of more the first three. */
const channel = (rgb: number, chans: number): number => (chans < 3 ? 0 : rgb);

const toByte = (value: number): number => Math.round(255 * Math.min(1, Math.max(0, value)));

/** Where element e = (i * p + j) * C + c of patch l lies in an image (C, H, W). */
function eachPixel(config: MaeConfig, visit: (l: number, e: number, at: number) => void): void {
  const { patch_size: p, in_chans: chans, img_size } = config;
  const [height, width] = img_size;
  const [down, across] = gridOf(config);
  for (let l = 0; l < down * across; l++) {
    const [top, left] = [Math.floor(l / across) * p, (l % across) * p];
    for (let e = 0; e < p * p * chans; e++) {
      const [c, j, i] = [e % chans, Math.floor(e / chans) % p, Math.floor(e / (chans * p))];
      visit(l, e, (c * height + top + i) * width + left + j);
    }
  }
}

function unpatchify(patches: Float32Array, config: MaeConfig): Float32Array {
  const size = config.patch_size ** 2 * config.in_chans;
  const img = new Float32Array(patches.length);
  eachPixel(config, (l, e, at) => {
    img[at] = patches[l * size + e];
  });
  return img;
}

/** (H * W): the mask of the patch that each pixel lies in. */
function spread(mask: ArrayLike<number>, config: MaeConfig): Uint8Array {
  const pixels = new Uint8Array(config.img_size[0] * config.img_size[1]);
  eachPixel({ ...config, in_chans: 1 }, (l, _, at) => {
    pixels[at] = mask[l];
  });
  return pixels;
}

/** Gives normalised predictions the mean and variance of the true patch, as training took them away. */
function denormalisePatches(pred: Float32Array, img: Float32Array, config: MaeConfig): Float32Array {
  const size = config.patch_size ** 2 * config.in_chans;
  const truth = new Float32Array(pred.length);
  eachPixel(config, (l, e, at) => {
    truth[l * size + e] = img[at];
  });
  const result = new Float32Array(pred.length);
  for (let first = 0; first < pred.length; first += size) {
    const [mean, deviation] = statistics(truth.subarray(first, first + size));
    for (let k = first; k < first + size; k++) result[k] = pred[k] * deviation + mean;
  }
  return result;
}

/** Mean and sqrt(unbiased variance + 1e-6), as norm_pix_loss takes them. */
function statistics(values: Float32Array): [number, number] {
  let mean = 0;
  for (const v of values) mean += v / values.length;
  let variance = 0;
  for (const v of values) variance += (v - mean) ** 2 / Math.max(1, values.length - 1);
  return [mean, Math.sqrt(variance + 1e-6)];
}
