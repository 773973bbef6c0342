// The parts as markup: figures, tables and strips of images, the same in a file and in a living page.
import { type Child, h, type Markup } from './markup.ts';

/** One number that matters. */
export interface Figure {
  readonly key: string;
  readonly label: string;
  readonly value: string;
}

export const figures = (list: readonly Figure[]): Markup => h('dl', { class: 'figures' }, ...list.map(figure));

export const figure = ({ key, label, value }: Figure): Markup =>
  h('div', { 'data-key': key }, h('dd', {}, value), h('dt', {}, label));

export interface Column {
  readonly label: string;
  /** Right-aligned, and sorted by size. */
  readonly numeric?: boolean;
  /** A bar behind the value: this column's part of its largest one. */
  readonly bar?: boolean;
}

/** Text as it stands; of a number also what it is sorted by. */
export type Cell = string | { readonly text: string; readonly value: number };

const cellText = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);
export const cellValue = (cell: Cell): number | string => (typeof cell === 'string' ? cell : cell.value);

export const table = (
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  heads?: readonly Child[],
): Markup =>
  h(
    'div',
    { class: 'wide' },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...columns.map(({ label, numeric }, i) =>
            h('th', { scope: 'col', class: numeric ? 'number' : null }, heads?.[i] ?? label),
          ),
        ),
      ),
      tableBody(columns, rows),
    ),
  );

export function tableBody(columns: readonly Column[], rows: readonly (readonly Cell[])[]): Markup {
  const most = columns.map(({ bar }, i) =>
    bar ? Math.max(...rows.map((row) => Number(cellValue(row[i])) || 0), 0) : 0,
  );
  const body = (row: readonly Cell[]): Markup =>
    h(
      'tr',
      {},
      ...row.map((cell, i) => {
        const part = most[i] > 0 ? (100 * (Number(cellValue(cell)) || 0)) / most[i] : 0;
        const bar = most[i] > 0 ? `--part:${part.toFixed(1)}%` : null;
        return h('td', { class: columns[i].numeric ? 'number' : null, style: bar }, cellText(cell));
      }),
    );
  return h('tbody', {}, ...rows.map(body));
}

/** A picture with its name. */
export interface Shot {
  readonly label: string;
  /** An address, or data. */
  readonly src: string;
  readonly width?: number;
  readonly height?: number;
}

/** @param fixed stay in sight while the others are scrolled */
export const gallery = (fixed: readonly Shot[], shots: readonly Shot[]): Markup =>
  h(
    'div',
    { class: 'gallery', tabindex: '0', role: 'group', 'aria-label': 'images through time' },
    ...[h('div', { class: 'fixed' }, ...fixed.map(shot)), ...shots.map(shot)],
  );

export const shot = ({ label, src, width, height }: Shot): Markup =>
  h(
    'figure',
    {},
    h('img', {
      src,
      alt: label,
      loading: 'lazy',
      width: width === undefined ? null : String(width),
      height: height === undefined ? null : String(height),
    }),
    h('figcaption', {}, label),
  );

/** Names with their values, in columns. */
export const settings = (list: readonly (readonly [name: string, value: string])[]): Markup =>
  h('dl', { class: 'settings' }, ...list.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
