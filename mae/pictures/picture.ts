// An RGB picture in memory, with the few drawing operations that the panels need.
import { drawText } from './font.ts';

export type Colour = readonly [red: number, green: number, blue: number];

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** (height, width, 3) */
  readonly data: Uint8Array;
}

export function blank(width: number, height: number, colour: Colour): Picture {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3];
  return { width, height, data };
}

/** Copies `source` into `target` with its upper left corner at (left, top), each pixel as `scale` x `scale`. */
export function paste(target: Picture, source: Picture, left: number, top: number, scale = 1): void {
  for (let y = 0; y < source.height * scale; y++) {
    for (let x = 0; x < source.width * scale; x++) {
      const from = 3 * (Math.floor(y / scale) * source.width + Math.floor(x / scale));
      target.data.set(source.data.subarray(from, from + 3), 3 * ((top + y) * target.width + left + x));
    }
  }
}

/** Writes a text with its upper left corner at (left, top). */
export function write(target: Picture, text: string, left: number, top: number, scale: number, colour: Colour): void {
  drawText(text, (x, y) => {
    for (let dy = 0; dy < scale; dy++) {
      for (let dx = 0; dx < scale; dx++) {
        const [column, row] = [left + x * scale + dx, top + y * scale + dy];
        if (column < target.width && row < target.height) target.data.set(colour, 3 * (row * target.width + column));
      }
    }
  });
}
