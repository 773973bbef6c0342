// The tables of a board: runs beside one another, epochs of one, kernels, and the settings in which runs differ.
import type { Comparison } from '../../dashboard/wire.ts';
import { epochsDone, epochText } from '../../report/lines.ts';
import { figuresOf, kernelsOf, progress, settingsOf } from '../../report/say.ts';
import { domOf } from '../parts/dom.ts';
import { h, type Markup } from '../parts/markup.ts';
import { short } from '../parts/numbers.ts';
import { type Cell, type Column, table } from '../parts/pieces.ts';
import { strokeOf, strokeStyle } from '../parts/stroke.ts';
import { pill, type Shown } from './states.ts';
import type { LiveRun } from './live-run.ts';

const number = (value: number): Cell => ({ text: short(value), value });
export const swatch = (run: LiveRun): Markup => h('i', { class: 'swatch', style: strokeStyle(strokeOf(run.id)) });

const BESIDE = ['train_loss', 'heldout_loss', 'test_acc1', 'images_per_s', 'gpu_bytes', 'left'];

/** One line a run. */
export function runsTable(runs: readonly LiveRun[], stateOf: (run: LiveRun) => Shown): HTMLElement {
  const all = runs.map((run) => new Map(figuresOf(run, stateOf(run) === 'running').map((one) => [one.key, one])));
  const keys = BESIDE.filter((key) => all.some((found) => found.has(key)));
  const labels = keys.map((key) => all.find((found) => found.has(key))?.get(key)?.label ?? key);
  const row = (run: LiveRun, i: number): Markup => {
    const { epochs, plannedEpochs } = progress(run);
    return h(
      'tr',
      {},
      h('th', { scope: 'row', title: run.path }, swatch(run), run.name),
      h('td', {}, pill(stateOf(run))),
      h('td', { class: 'number' }, [epochText(epochs), ...(plannedEpochs ? ['of', plannedEpochs] : [])].join(' ')),
      ...keys.map((key) => h('td', { class: 'number', 'data-key': key }, all[i].get(key)?.value ?? '')),
    );
  };
  const heads = ['run', 'state', 'epochs', ...labels];
  return domOf(
    h(
      'div',
      { class: 'wide runs' },
      h(
        'table',
        {},
        h(
          'thead',
          {},
          h('tr', {}, ...heads.map((label, i) => h('th', { scope: 'col', class: i > 1 ? 'number' : null }, label))),
        ),
        h('tbody', {}, ...runs.map(row)),
      ),
    ),
  );
}

/** How the others end beside the first: rows for each under the names of the two. */
export function verdicts(runs: readonly LiveRun[], comparison: readonly Comparison[]): HTMLElement | null {
  const compared = comparison.filter(({ rows }) => rows.length);
  if (!compared.length || runs.length < 2) return null;
  const [first] = runs;
  const name = (run: LiveRun): Markup => h('th', { scope: 'col', class: 'number' }, swatch(run), run.name);
  const bodies = compared.map(({ id, rows }) =>
    h(
      'tbody',
      {},
      h('tr', {}, h('th', { scope: 'col' }, 'metric'), name(first), name(runs[id]), h('th', {})),
      ...rows.map(({ metric, a, b, verdict, from, better }) =>
        h(
          'tr',
          {},
          h('td', {}, metric),
          h('td', { class: 'number' }, short(a)),
          h('td', { class: 'number' }, short(b)),
          h('td', { 'data-how': from === null ? 'same' : better ? 'better' : 'worse' }, verdict),
        ),
      ),
    ),
  );
  return domOf(h('table', {}, ...bodies));
}

/** log.txt, the newest epoch first. Epochs count from 1, as on the progress bar. */
export function epochRows({ epochs }: LiveRun): { columns: Column[]; rows: Cell[][] } {
  const names = [...new Set(epochs.flatMap((line) => Object.keys(line)))].filter(
    (name) => !/^(epoch|part)$/.test(name),
  );
  const columns = ['epoch', ...names].map((label) => ({ label, numeric: true }));
  const rows = epochs.map((line): Cell[] => [
    { text: epochText(epochsDone(line)), value: epochsDone(line) },
    ...names.map((name): Cell => (name in line ? number(line[name]) : { text: '', value: Number.NEGATIVE_INFINITY })),
  ]);
  return { columns, rows: rows.reverse() };
}

/** ms of every kernel in the step that each run timed; null where none did. */
export function kernelsBeside(runs: readonly LiveRun[]): { columns: Column[]; rows: Cell[][] } | null {
  const timed = runs.filter(({ facts }) => kernelsOf(facts));
  if (!timed.length) return null;
  const ms = timed.map(({ facts }) => new Map(facts?.step?.kernels.map(({ kernel, ms }) => [kernel, ms])));
  const kernels = [...new Set(ms.flatMap((found) => [...found.keys()]))];
  const rows = kernels.map((kernel): Cell[] => [
    kernel,
    ...ms.map((found): Cell => {
      const value = found.get(kernel);
      return value === undefined ? { text: '', value: 0 } : { text: value.toFixed(2), value };
    }),
  ]);
  return {
    columns: [{ label: 'kernel' }, ...timed.map(({ name }) => ({ label: `${name}, ms`, numeric: true, bar: true }))],
    rows,
  };
}

/** Settings that are not the same in all runs, and how many are. */
export function differences(runs: readonly LiveRun[]): { element: HTMLElement | null; same: number } {
  const all = runs.map(({ facts }) => new Map(settingsOf(facts)));
  const names = [...new Set(all.flatMap((found) => [...found.keys()]))].filter((name) => name !== 'output_dir');
  const differ = names.filter((name) => new Set(all.map((found) => found.get(name))).size > 1);
  const rows = differ.map((name): Cell[] => [name, ...all.map((found) => found.get(name) ?? '')]);
  const columns = [{ label: 'setting' }, ...runs.map(({ name }) => ({ label: name }))];
  return { element: rows.length ? domOf(table(columns, rows)) : null, same: names.length - differ.length };
}
