// Rows of tiles under common headings, as one picture: below each other, or many of them as a contact sheet.
import { heat } from '../render/colours.ts';
import { blank, type Colour, fitted, paste, type Picture } from '../render/picture.ts';
import { TEXT_HEIGHT, textWidth, write } from './font.ts';

/** Columns that belong together. */
export interface Group {
  readonly title?: string;
  readonly columns: readonly string[];
}

/** One image's tiles, all of a size, one for every column. */
export interface Strip {
  readonly tiles: readonly Picture[];
  /** Below the tiles of each group; '' where there is nothing to say. */
  readonly captions?: readonly string[];
}

/** What a sheet says besides its strips. */
export interface SheetOptions {
  /** Lines at the bottom. */
  readonly notes?: readonly string[];
  /** What the heat colours mean, at their two ends. */
  readonly legend?: readonly [low: string, high: string];
}

export const WHITE: Colour = [255, 255, 255];
export const INK: Colour = [60, 60, 67];
export const FAINT: Colour = [120, 120, 128];
export const GAP = 8;
export const MARGIN = 12;
/** Up to so many strips are shown one below the other, at about this size; more of them smaller and side by side. */
const FEW = 6;
const [LARGE, SMALL] = [192, 112];

/**
 * By what factor a tile of this side is shown: small ones are enlarged by a whole number, so that each pixel stays a square, and large ones,
 * where there are many, made smaller by one.
 */
export function scaleOf(side: number, many: boolean): number {
  const wanted = many ? SMALL : LARGE;
  if (side <= wanted) return Math.max(1, Math.floor(wanted / side));
  return many || side > 2 * LARGE ? 1 / Math.round(side / wanted) : 1;
}

/** The strip as it will be shown among so many: of a thousand photographs the small tiles have room in memory, the large ones may not. */
export function readied<S extends Strip>(strip: S, count: number): S {
  const [{ width, height }] = strip.tiles;
  const scale = scaleOf(Math.max(width, height), count > FEW);
  return scale < 1 ? { ...strip, tiles: strip.tiles.map((tile) => fitted(tile, scale)) } : strip;
}

/** How strips are laid out: `blocks` of them side by side, so that the whole is near 4 : 3. */
function blocksOf(count: number, width: number, height: number): number {
  if (count <= FEW) return 1;
  const unevenness = (blocks: number): number =>
    Math.abs(Math.log((blocks * width) / (Math.ceil(count / blocks) * height) / (4 / 3)));
  return Array.from({ length: count }, (_, i) => i + 1).reduce((a, b) => (unevenness(b) < unevenness(a) ? b : a));
}

/** All strips as one picture, under the headings of their groups, with tiles of one size. `strips` has one at least. */
export function sheet(groups: readonly Group[], strips: readonly Strip[], options: SheetOptions = {}): Picture {
  const many = strips.length > FEW;
  const [first] = strips[0].tiles;
  const scale = scaleOf(Math.max(first.width, first.height), many);
  const shown = strips.map(({ tiles }) => tiles.map((tile) => fitted(tile, scale)));
  const [{ width: tileWidth, height: tileHeight }] = shown[0];
  const names = groups.flatMap(({ columns }) => columns);
  const text = names.every((name) => tileWidth >= 2 * textWidth(name)) ? 2 : 1;
  const column = Math.max(tileWidth, ...names.map((name) => text * textWidth(name))) + GAP;
  const widthOf = ({ title, columns }: Group): number =>
    Math.max(columns.length * column - GAP, title ? textWidth(title) : 0);
  const spans = groups.map(widthOf);
  const starts = spans.map((_, g) => spans.slice(0, g).reduce((a, b) => a + b + 2 * GAP, 0));
  const wide = starts[starts.length - 1] + spans[spans.length - 1];
  const fits = ({ title }: Group, g: number): boolean => !title || spans[g] + 2 * GAP >= 2 * textWidth(title);
  const titled = text === 2 && groups.every(fits) ? 2 : 1;
  const titles = groups.some(({ title }) => title) ? titled * TEXT_HEIGHT + GAP : 0;
  const captioned = strips.some(({ captions }) => captions?.some((c) => c)) ? text * TEXT_HEIGHT + GAP : 0;
  const high = tileHeight + GAP + captioned;
  const blocks = blocksOf(strips.length, wide + 3 * GAP, high);
  const lines = Math.ceil(strips.length / blocks);
  const head = titles + text * TEXT_HEIGHT + GAP;
  const { notes = [], legend } = options;
  const inner = blocks * (wide + 3 * GAP) - 3 * GAP;
  const widest = Math.max(0, ...notes.map(textWidth));
  const small = text === 2 && 2 * widest <= inner && (!legend || 2 * legendWidth(legend) <= inner) ? 2 : 1;
  const line = small * TEXT_HEIGHT + GAP;
  const foot = (legend ? line : 0) + notes.length * line;
  const picture = blank(2 * MARGIN + Math.max(inner, widest), 2 * MARGIN + head + lines * high - GAP + foot, WHITE);

  for (let b = 0; b < blocks; b++) {
    const left = MARGIN + b * (wide + 3 * GAP);
    for (const [g, { title = '', columns }] of groups.entries()) {
      centred(picture, title, left + starts[g], MARGIN, spans[g], titled, FAINT);
      for (const [c, name] of columns.entries())
        centred(picture, name, left + starts[g] + c * column, MARGIN + titles, column - GAP, text, INK);
    }
  }
  for (const [s, tiles] of shown.entries()) {
    const left = MARGIN + Math.floor(s / lines) * (wide + 3 * GAP);
    const top = MARGIN + head + (s % lines) * high;
    let next = 0;
    for (const [g, { columns }] of groups.entries()) {
      for (let c = 0; c < columns.length; c++, next++) {
        const at = left + starts[g] + c * column + Math.floor((column - GAP - tileWidth) / 2);
        paste(picture, tiles[next], at, top);
      }
      const caption = shortened(strips[s].captions?.[g] ?? '', spans[g] / text);
      write(picture, caption, left + starts[g], top + tileHeight + GAP / 2, text, FAINT);
    }
  }
  let bottom = picture.height - MARGIN - foot + GAP;
  if (legend) {
    drawLegend(picture, legend, MARGIN, bottom, small);
    bottom += line;
  }
  for (const [i, note] of notes.entries()) write(picture, note, MARGIN, bottom + i * line, small, FAINT);
  return picture;
}

/** Of the heat scale between its texts. */
const BAR = 128;

export const legendWidth = ([low, high]: readonly [string, string]): number =>
  textWidth(low) + GAP + BAR + GAP + textWidth(high);

/** `low`, the heat scale, `high`, in a line of text's height. */
export function drawLegend(
  picture: Picture,
  [low, high]: readonly [string, string],
  left: number,
  top: number,
  scale: number,
): void {
  const bar = left + scale * textWidth(low) + GAP;
  write(picture, low, left, top, scale, FAINT);
  const width = Math.min(BAR, picture.width - bar - MARGIN - GAP - scale * textWidth(high));
  for (let x = 0; x < width; x++)
    for (let y = 0; y < scale * TEXT_HEIGHT; y++)
      picture.data.set(heat(x / (width - 1)), 3 * ((top + y) * picture.width + bar + x));
  write(picture, high, bar + Math.max(0, width) + GAP, top, scale, FAINT);
}

export function centred(
  picture: Picture,
  text: string,
  left: number,
  top: number,
  width: number,
  scale: number,
  colour: Colour,
): void {
  write(picture, text, left + Math.max(0, Math.floor((width - scale * textWidth(text)) / 2)), top, scale, colour);
}

/** What fits into so many pixels, its middle left out: a file's name says most at its ends. */
export function shortened(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  const cell = textWidth('aa') - textWidth('a');
  const most = Math.max(1, Math.floor((width + 1) / cell) - 2);
  const ahead = Math.ceil(most / 2);
  return `${text.slice(0, ahead)}..${text.slice(text.length - (most - ahead))}`;
}
