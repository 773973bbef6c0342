// Small pictures on large canvases: every pixel a square, hidden patches as tiles, frames around patches.
import { gridOf } from '../../model/config.ts';
import type { MaeConfig, Picture } from '../../browser.ts';
import { Palette } from '../parts/dom.ts';

/** A picture of the model's size, as a source for drawImage. */
export function canvasOf({ width, height, data }: Picture): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  const image = new ImageData(width, height);
  image.data.fill(255);
  for (let i = 0; i < data.length; i++) image.data[i + Math.floor(i / 3)] = data[i];
  (canvas.getContext('2d') as OffscreenCanvasRenderingContext2D).putImageData(image, 0, 0);
  return canvas;
}

/** A canvas that is as fine as the screen and knows where patches lie on it. */
export class Board {
  readonly canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #rows: number;
  readonly #columns: number;
  readonly #palette: Palette;

  /** `redraw` is called when size or theme changed, until `signal` says otherwise. */
  constructor(canvas: HTMLCanvasElement, config: MaeConfig, redraw: () => void, signal: AbortSignal) {
    this.canvas = canvas;
    this.#context = canvas.getContext('2d') as CanvasRenderingContext2D;
    [this.#rows, this.#columns] = gridOf(config);
    const frame = canvas.parentElement as HTMLElement;
    frame.style.aspectRatio = `${config.img_size[1]} / ${config.img_size[0]}`;
    this.#palette = new Palette(frame, redraw);
    const sizes = new ResizeObserver(([{ contentRect }]) => {
      const [width, height] = [contentRect.width, contentRect.height].map((side) =>
        Math.round(side * devicePixelRatio),
      );
      if (canvas.width === width && canvas.height === height) return;
      [canvas.width, canvas.height] = [width, height];
      redraw();
    });
    sizes.observe(canvas);
    signal.addEventListener('abort', () => {
      sizes.disconnect();
      this.#palette.close();
    });
  }

  get rows(): number {
    return this.#rows;
  }

  get columns(): number {
    return this.#columns;
  }

  /** The patch under a point of the window; null where it lies outside of the canvas. */
  patchAt({ clientX, clientY }: { clientX: number; clientY: number }): number | null {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor(((clientX - box.left) / box.width) * this.#columns);
    const row = Math.floor(((clientY - box.top) / box.height) * this.#rows);
    const inside = column >= 0 && column < this.#columns && row >= 0 && row < this.#rows;
    return inside ? row * this.#columns + column : null;
  }

  /** Fills the canvas, without smoothing. */
  picture(source: CanvasImageSource): void {
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(source, 0, 0, this.canvas.width, this.canvas.height);
  }

  /** Tiles over the patches whose number is not 0. */
  tiles(hidden: ArrayLike<number>): void {
    const context = this.#context;
    const [ground, tile] = [this.#palette.of('var(--sunk)'), this.#palette.of('var(--hole)')];
    for (let l = 0; l < hidden.length; l++) {
      if (!hidden[l]) continue;
      const [left, top, width, height] = this.#place(l);
      context.fillStyle = ground;
      context.fillRect(left, top, width, height);
      const gap = Math.max(1, Math.round(width / 24));
      context.fillStyle = tile;
      context.beginPath();
      context.roundRect(left + gap, top + gap, width - 2 * gap, height - 2 * gap, width / 9);
      context.fill();
    }
  }

  /** A frame around a patch, in a colour of the theme, with one of the page around it so that it is seen on any picture. */
  frame(l: number, colour: string): void {
    const [left, top, width, height] = this.#place(l);
    const context = this.#context;
    const thick = Math.max(2, Math.round(devicePixelRatio * 2));
    for (const [stroke, inset] of [
      [this.#palette.of('var(--page)'), 1.5 * thick],
      [this.#palette.of(colour), 0.5 * thick],
    ] as const) {
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.strokeRect(left + inset, top + inset, width - 2 * inset, height - 2 * inset);
    }
  }

  /** Left, top, width and height in the canvas's own pixels; whole ones, so that no seam shows. */
  #place(l: number): [number, number, number, number] {
    const [row, column] = [Math.floor(l / this.#columns), l % this.#columns];
    const x = (c: number): number => Math.round((c * this.canvas.width) / this.#columns);
    const y = (r: number): number => Math.round((r * this.canvas.height) / this.#rows);
    return [x(column), y(row), x(column + 1) - x(column), y(row + 1) - y(row)];
  }
}
