// What the parts share of a living page: elements from markup, and colours of the theme as a canvas takes them.
import type { Child, Markup } from './markup.ts';

export function domOf(markup: Markup): HTMLElement {
  const element = document.createElement(markup.tag);
  for (const [name, value] of Object.entries(markup.attributes)) {
    if (value === null) continue;
    // By its rules for styles a page may refuse them as attributes.
    if (name === 'style') element.style.cssText = value;
    else element.setAttribute(name, value);
  }
  element.append(...markup.children.map(nodeOf));
  return element;
}

const nodeOf = (child: Child): Node => (typeof child === 'string' ? document.createTextNode(child) : domOf(child));

/** Sets text only where it changed: what is selected in it stays so. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Colours of CSS, as `var(--ink)`, by what they are in the light or dark of this moment. */
export class Palette {
  readonly #probe: HTMLElement;
  readonly #known = new Map<string, string>();
  readonly #stop = new AbortController();

  /** @param host its colours count @param changed called when all may have changed */
  constructor(host: HTMLElement, changed: () => void) {
    this.#probe = document.createElement('span');
    this.#probe.hidden = true;
    host.append(this.#probe);
    const forget = (): void => {
      this.#known.clear();
      changed();
    };
    const { signal } = this.#stop;
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', forget, { signal });
    const observer = new MutationObserver(forget);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
    signal.addEventListener('abort', () => observer.disconnect());
  }

  of(colour: string): string {
    let found = this.#known.get(colour);
    if (found === undefined) {
      this.#probe.style.color = colour;
      found = getComputedStyle(this.#probe).color;
      this.#known.set(colour, found);
    }
    return found;
  }

  close(): void {
    this.#stop.abort();
    this.#probe.remove();
  }
}
