// A long table of which the first rows are shown, and all of them at the press of a button.
import { domOf, setText } from '../parts/dom.ts';
import { h } from '../parts/markup.ts';

/** Lines that are seen without it. */
const FEW = 8;

export class Folded {
  readonly element = domOf(h('div', {}));
  readonly #button = domOf(h('button', { type: 'button', class: 'small fold', 'aria-expanded': 'false' }));
  readonly #table: HTMLElement;
  readonly #what: string;
  #rows = 0;

  /** @param what the rows are, in the plural */
  constructor(table: HTMLElement, what: string) {
    this.#table = table;
    this.#what = what;
    table.classList.add('long');
    this.element.append(table, this.#button);
    this.#button.addEventListener('click', () => {
      const all = !table.classList.toggle('long');
      this.#button.setAttribute('aria-expanded', String(all));
      this.#name();
    });
  }

  /** How many there are by now. @param lines that they take, with heads between them */
  count(rows: number, lines = rows): void {
    this.#rows = rows;
    this.#button.hidden = lines <= FEW;
    this.#name();
  }

  #name(): void {
    const folded = this.#table.classList.contains('long');
    setText(this.#button, folded ? `all ${this.#rows} ${this.#what}` : `fewer ${this.#what}`);
  }
}
