// The pictures of MAE papers: original | masked | reconstruction | pasted, a row an image; and whole images rebuilt in several passes.
import type { Picture } from '../render/picture.ts';
import { type Quality, qualityOf } from '../render/quality.ts';
import {
  coveredPixels,
  errorMap,
  pasted,
  pixelsOf,
  type Prediction,
  type Rebuilt,
  rebuiltPixels,
  renderingsOf,
  type View,
} from '../render/rebuilt.ts';
import { STATISTICS_LABEL } from '../render/statistics.ts';
import { heatTile, maskedTile, tileOf, WORST_ERROR } from '../render/tiles.ts';
import { type Group, sheet, type SheetOptions, type Strip } from './sheet.ts';

/** A strip with the figures that belong to it, one for every way of rendering. */
export interface Scored extends Strip {
  readonly quality: readonly Quality[];
}

/** The headings of `strip`. */
export const columnsOf = (view: View): Group[] => grouped(view, ['original', 'masked'], ['reconstruction', 'pasted']);

/** The headings of `coveredStrip`. */
export const coveredColumnsOf = (view: View): Group[] =>
  grouped(view, ['original', 'seen in pass 1'], ['reconstruction', 'error']);

const grouped = (view: View, first: readonly string[], each: readonly string[]): Group[] => [
  { columns: first },
  ...renderingsOf(view).map((statistics) => ({
    columns: each,
    ...(view.config.norm_pix_loss ? { title: STATISTICS_LABEL[statistics] } : {}),
  })),
];

/** One pass over an image. */
export function strip(rebuilt: Rebuilt, view: View, caption = ''): Scored {
  const { config } = view;
  const { mask } = rebuilt;
  const original = pixelsOf(rebuilt.img, view);
  const quality: Quality[] = [];
  const tiles = [tileOf(original, config), maskedTile(original, mask, config)];
  for (const statistics of renderingsOf(view)) {
    const pixels = rebuiltPixels(rebuilt, view, statistics);
    const together = pasted(original, pixels, mask, config);
    tiles.push(tileOf(pixels, config), tileOf(together, config));
    quality.push(qualityOf(original, together, mask, config));
  }
  return { tiles, captions: [caption, ...quality.map(qualityText)], quality };
}

/** Several passes whose masks cover the image, and where they are wrong. */
export function coveredStrip(img: Float32Array, passes: readonly Prediction[], view: View, caption = ''): Scored {
  const { config } = view;
  const original = pixelsOf(img, view);
  const quality: Quality[] = [];
  const tiles = [tileOf(original, config), maskedTile(original, passes[0].mask, config)];
  for (const statistics of renderingsOf(view)) {
    const { pixels, mask } = coveredPixels(img, passes, view, statistics);
    tiles.push(tileOf(pixels, config), heatTile(errorMap(original, pixels, view), WORST_ERROR, config));
    quality.push(qualityOf(original, pixels, mask, config));
  }
  return { tiles, captions: [caption, ...quality.map(qualityText)], quality };
}

const qualityText = ({ psnr, ssim }: Quality): string =>
  `PSNR ${Number.isFinite(psnr) ? psnr.toFixed(1) : '-'} dB, SSIM ${Number.isFinite(ssim) ? ssim.toFixed(3) : '-'}`;

/** What the heat colours of `coveredStrip` mean. */
export const ERROR_LEGEND = ['error 0', `${WORST_ERROR} and more (of 1, mean over channels)`] as const;

/** What a panel of a model trained with norm_pix_loss must say. */
export const notesOf = ({ config }: View): string[] =>
  config.norm_pix_loss
    ? ['trained with norm_pix_loss: brightness and contrast of removed patches are not predicted']
    : [];

/** The four tiles of an image, or six under norm_pix_loss, in the order of the columns. */
export const tiles = (rebuilt: Rebuilt, view: View): readonly Picture[] => strip(rebuilt, view).tiles;

/** Images of one pass each. */
export function panel(
  rows: readonly (Rebuilt & { caption?: string })[],
  view: View,
  options: SheetOptions = {},
): Picture {
  const strips = rows.map((row) => strip(row, view, row.caption));
  return sheet(columnsOf(view), strips, { ...options, notes: [...notesOf(view), ...(options.notes ?? [])] });
}
