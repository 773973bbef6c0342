// A table that is sorted by a click on a column's name.
import { domOf } from './dom.ts';
import { h } from './markup.ts';
import { type Cell, cellValue, type Column, table, tableBody } from './pieces.ts';

export class Table {
  readonly element: HTMLElement;
  readonly #columns: readonly Column[];
  #rows: readonly (readonly Cell[])[] = [];
  #by: { readonly column: number; readonly down: boolean } | null = null;
  #shown = '';

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
    const heads = columns.map(({ label }) => h('button', { type: 'button' }, label));
    this.element = domOf(table(columns, [], heads));
    for (const [column, button] of this.element.querySelectorAll('th button').entries())
      button.addEventListener('click', () => this.#sort(column));
  }

  /** In their own order until a column's name is clicked. */
  show(rows: readonly (readonly Cell[])[]): void {
    this.#rows = rows;
    const order = this.#by ? [...rows].sort((a, b) => this.#compare(a, b)) : rows;
    const shown = JSON.stringify(order);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.querySelector('tbody')?.replaceWith(domOf(tableBody(this.#columns, order)));
  }

  /** Numbers from the largest down at first, words from a on. */
  #sort(column: number): void {
    const numeric = this.#columns[column].numeric ?? false;
    this.#by = { column, down: this.#by?.column === column ? !this.#by.down : numeric };
    for (const [i, head] of this.element.querySelectorAll('th').entries()) {
      if (i === column) head.setAttribute('aria-sort', this.#by.down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
    this.show(this.#rows);
  }

  #compare(a: readonly Cell[], b: readonly Cell[]): number {
    const { column, down } = this.#by as { column: number; down: boolean };
    const [x, y] = [cellValue(a[column]), cellValue(b[column])];
    const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  }
}
