// An RGB picture in memory, with the few operations that panels need.

export type Colour = readonly [red: number, green: number, blue: number];

/** 8 bits a channel, rows from the top. */
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

/** Copies `source` into `target` with its upper left corner at (left, top). */
export function paste(target: Picture, source: Picture, left: number, top: number): void {
  for (let y = 0; y < source.height; y++) {
    const row = source.data.subarray(3 * y * source.width, 3 * (y + 1) * source.width);
    target.data.set(row, 3 * ((top + y) * target.width + left));
  }
}

/** Each pixel as `scale` x `scale`, or for 1 / n the mean of n x n pixels as one; what is left over at the edges is cut off. */
export function fitted(source: Picture, scale: number): Picture {
  if (scale === 1) return source;
  const shrink = Math.round(1 / scale);
  const size = (side: number): number => (scale > 1 ? side * scale : Math.max(1, Math.floor(side / shrink)));
  const [width, height] = [size(source.width), size(source.height)];
  const data = new Uint8Array(width * height * 3);
  const value = (x: number, y: number, c: number): number => source.data[3 * (y * source.width + x) + c];
  for (let i = 0; i < data.length; i++) {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    if (scale > 1) {
      data[i] = value(Math.floor(x / scale), Math.floor(y / scale), c);
      continue;
    }
    let sum = 0;
    for (let dy = 0; dy < shrink; dy++)
      for (let dx = 0; dx < shrink; dx++) sum += value(x * shrink + dx, y * shrink + dy, c);
    data[i] = Math.round(sum / shrink ** 2);
  }
  return { width, height, data };
}
