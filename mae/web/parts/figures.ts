// Figures that change: each keeps its place and its size.
import { domOf, setText } from './dom.ts';
import { type Figure, figure, figures } from './pieces.ts';

export class Figures {
  readonly element = domOf(figures([]));
  readonly #tiles = new Map<string, HTMLElement>();

  /** These and no others, in this order. */
  show(list: readonly Figure[]): void {
    const keys = new Set(list.map(({ key }) => key));
    for (const [key, tile] of this.#tiles) {
      if (keys.has(key)) continue;
      tile.remove();
      this.#tiles.delete(key);
    }
    for (const [i, one] of list.entries()) {
      let tile = this.#tiles.get(one.key);
      if (!tile) {
        tile = domOf(figure(one));
        this.#tiles.set(one.key, tile);
      }
      setText(tile.querySelector('dd') as Element, one.value);
      setText(tile.querySelector('dt') as Element, one.label);
      const there = this.element.children[i] ?? null;
      if (there !== tile) this.element.insertBefore(tile, there);
    }
  }
}
