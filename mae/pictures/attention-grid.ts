// What an encoder attends to, as labelled tiles: the image, means, rollout, and every head or every layer; a block of lines an image.
import type { EncoderConfig } from '../model/config.ts';
import { onPatches } from '../render/attention.ts';
import { spread } from '../render/patches.ts';
import { blank, fitted, paste, type Picture } from '../render/picture.ts';
import { framed, heatTile, overlayTile, tileOf } from '../render/tiles.ts';
import { TEXT_HEIGHT, textWidth, write } from './font.ts';
import { centred, drawLegend, FAINT, GAP, INK, legendWidth, MARGIN, scaleOf, shortened, WHITE } from './sheet.ts';

/** A row of attention (1 + L), cls first, and what it is of. */
export interface NamedMap {
  readonly name: string;
  readonly row: ArrayLike<number>;
}

/** One image with the maps that are shown beside it. */
export interface AttentionBlock {
  readonly title: string;
  /** (C, H, W) in [0, 1] */
  readonly pixels: Float32Array;
  /** The patch that attends; null: the cls token. */
  readonly patch: number | null;
  readonly maps: readonly NamedMap[];
}

/** How maps are shown. */
export interface GridOptions {
  readonly config: EncoderConfig;
  /** Maps alone, or laid over the image. */
  readonly overlay: boolean;
}

interface Tile {
  readonly name: string;
  readonly picture: Picture;
  readonly note: string;
}

const LINE = TEXT_HEIGHT + GAP;
/** Of the texts at a tile. */
const WIDEST = 'max 9.9 %, cls 9.9 %';
/** More maps than this are shown smaller. */
const MANY = 40;
/** About as wide as a screen. */
const WIDTH = 1500;
const percent = (part: number): string => `${(100 * part).toFixed(part < 0.0995 ? 1 : 0)} %`;

/** The image and its maps, each from 0 to its own largest value. */
function tilesOf({ pixels, patch, maps }: AttentionBlock, { config, overlay }: GridOptions): Tile[] {
  const marked = (picture: Picture): Picture => (patch === null ? picture : framed(picture, patch, config));
  const image = {
    name: 'image',
    picture: marked(tileOf(pixels, config)),
    note: patch === null ? '' : 'from the frame',
  };
  const drawn = maps.map(({ name, row }): Tile => {
    const { patches, cls } = onPatches(row);
    const top = patches.reduce((a, b) => Math.max(a, b), 0);
    const map = spread(patches, config);
    const picture = overlay ? overlayTile(pixels, map, top, config) : heatTile(map, top, config);
    return { name, picture: marked(picture), note: `max ${percent(top)}, cls ${percent(cls)}` };
  });
  return [image, ...drawn];
}

/** All blocks below each other as one picture, with tiles of one size. `blocks` has one at least, each with as many maps. */
export function attentionGrid(blocks: readonly AttentionBlock[], options: GridOptions): Picture {
  const [height, width] = options.config.img_size;
  const scale = scaleOf(Math.max(height, width), blocks.length * blocks[0].maps.length > MANY);
  const tiles = blocks.map((block) =>
    tilesOf(block, options).map((tile) => ({ ...tile, picture: fitted(tile.picture, scale) })),
  );
  const [{ picture: one }] = tiles[0];
  const cell = Math.max(one.width, textWidth(WIDEST)) + GAP;
  const most = Math.max(1, Math.floor((WIDTH - 2 * MARGIN + GAP) / cell));
  const lines = Math.ceil(tiles[0].length / most);
  const across = Math.ceil(tiles[0].length / lines);
  const text = tiles.every((block) => block.every(({ name }) => 2 * textWidth(name) <= cell - GAP)) ? 2 : 1;
  const head = text * TEXT_HEIGHT + GAP / 2;
  const high = head + one.height + LINE + GAP / 2;
  const block = 2 * LINE + lines * high;
  const whole = 2 * MARGIN + Math.max(across * cell - GAP, legendWidth(LEGEND));
  const picture = blank(whole, 2 * MARGIN + blocks.length * block + TEXT_HEIGHT, WHITE);
  for (const [b, { title }] of blocks.entries()) {
    const top = MARGIN + b * block;
    const scaled = textWidth(title) * 2 <= whole - 2 * MARGIN ? 2 : 1;
    write(picture, shortened(title, whole - 2 * MARGIN), MARGIN, top, scaled, INK);
    for (const [i, { name, picture: tile, note }] of tiles[b].entries()) {
      const left = MARGIN + (i % across) * cell;
      const at = top + 2 * LINE - GAP + Math.floor(i / across) * high;
      centred(picture, shortened(name, cell - GAP), left, at, cell - GAP, text, INK);
      const middle = left + Math.floor((cell - GAP - tile.width) / 2);
      paste(picture, tile, middle, at + head);
      centred(picture, shortened(note, cell - GAP), left, at + head + tile.height + GAP / 2, cell - GAP, 1, FAINT);
    }
  }
  drawLegend(picture, LEGEND, MARGIN, picture.height - MARGIN - TEXT_HEIGHT, 1);
  return picture;
}

const LEGEND = ['0', 'the largest of its patches (max). cls: what the cls token gets'] as const;
