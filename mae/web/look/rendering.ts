// What the right side shows: a pass in one of four ways, or attention over the picture.
import {
  errorMap,
  heatTile,
  overlayTile,
  type Pass,
  pasted,
  type Picture,
  qualityOf,
  rebuiltPixels,
  spread,
  type Statistics,
  tileOf,
  type View,
  WORST_ERROR,
} from '../../browser.ts';
import { type Attention, lookFrom } from './session.ts';

const POINT = 'Point at a patch to see where the encoder looks from there.';
/** The ways, and what is said below each. */
export const WAYS = {
  pasted: POINT,
  all: 'Patches that are seen are never scored in training: what the model says there means nothing.',
  error: `Black is right, yellow is off by ${100 * WORST_ERROR} % of the full range and more.`,
  original: POINT,
} as const;
export type Way = keyof typeof WAYS;
export const GAZING = 'Where the encoder looks from this patch when it sees the whole picture: bright is much.';

/** A picture, (C, H, W): as the model takes it, and in [0, 1]. */
export interface Source {
  readonly img: Float32Array;
  readonly pixels: Float32Array;
}

export interface Shown extends Source {
  /** null where nothing is hidden. */
  readonly pass: Pass | null;
}

/** The picture, and how near to the original it is where it is the model's (dB; null where nothing is). */
export function render(
  { img, pixels, pass }: Shown,
  view: View,
  way: Way,
  statistics: Statistics,
): { picture: Picture; psnr: number | null } {
  const { config } = view;
  const made = pass ? rebuiltPixels({ img, ...pass }, view, statistics) : pixels;
  const whole = pass ? pasted(pixels, made, pass.mask, config) : pixels;
  const picture = {
    pasted: () => tileOf(whole, config),
    all: () => tileOf(made, config),
    error: () => heatTile(errorMap(pixels, whole, view), WORST_ERROR, config),
    original: () => tileOf(pixels, config),
  }[way]();
  return { picture, psnr: pass && qualityOf(pixels, whole, pass.mask, config).psnr };
}

/** The picture under what patch `l` takes from every patch; `block` null: over all of them. */
export function renderGaze(
  pixels: Float32Array,
  attention: Attention,
  l: number,
  block: number | null,
  view: View,
): Picture {
  const map = lookFrom(attention, l, block);
  return overlayTile(pixels, spread(map, view.config), Math.max(...map), view.config);
}
