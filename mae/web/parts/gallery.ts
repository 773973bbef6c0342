// Images through time, side by side: what is fixed stays in sight at the left, the newest comes at the right.
import { domOf } from './dom.ts';
import { h } from './markup.ts';
import { gallery, type Shot, shot } from './pieces.ts';

/** A picture by its address, or drawn already. */
export type Shown = Shot | { readonly label: string; readonly canvas: HTMLCanvasElement };

export class Gallery {
  readonly element = domOf(gallery([], []));
  readonly #fixed = this.element.querySelector('.fixed') as HTMLElement;
  readonly #shots = new Map<string, HTMLElement>();

  /** What stays in sight, in the place of what did before. */
  fix(list: readonly Shown[]): void {
    this.#fixed.replaceChildren(...list.map(elementOf));
  }

  /** A later moment; one of a key that is there takes its place. Whoever looks at the end goes along. */
  add(key: string, shown: Shown): void {
    const { element } = this;
    const follows = element.scrollLeft + element.clientWidth >= element.scrollWidth - 8;
    const made = elementOf(shown);
    const before = this.#shots.get(key);
    if (before) before.replaceWith(made);
    else element.append(made);
    this.#shots.set(key, made);
    if (follows) requestAnimationFrame(() => void (element.scrollLeft = element.scrollWidth));
  }

  has(key: string): boolean {
    return this.#shots.has(key);
  }

  remove(key: string): void {
    this.#shots.get(key)?.remove();
    this.#shots.delete(key);
  }

  clear(): void {
    for (const key of [...this.#shots.keys()]) this.remove(key);
  }
}

function elementOf(shown: Shown): HTMLElement {
  if (!('canvas' in shown)) return domOf(shot(shown));
  const figure = domOf(h('figure', {}, h('figcaption', {}, shown.label)));
  shown.canvas.setAttribute('role', 'img');
  shown.canvas.setAttribute('aria-label', shown.label);
  figure.prepend(shown.canvas);
  return figure;
}
