// All that is shown of the runs: one of them in full, or several over and beside one another.
import type { Comparison } from '../../dashboard/wire.ts';
import { figuresOf, KERNEL_COLUMNS, kernelsOf, progress, settingsOf, summary } from '../../report/say.ts';
import { domOf, setText } from '../parts/dom.ts';
import { Figures } from '../parts/figures.ts';
import { h } from '../parts/markup.ts';
import { settings } from '../parts/pieces.ts';
import { Table } from '../parts/table.ts';
import { type Axis, Charts } from './charts.ts';
import { Folded } from './folded.ts';
import type { LiveRun } from './live-run.ts';
import { Pictures } from './pictures.ts';
import { explained, pill, type Shown } from './states.ts';
import { differences, epochRows, kernelsBeside, runsTable, swatch, verdicts } from './tables.ts';

/** A part of the board under its own heading, hidden while there is nothing in it. */
function section(title: string, note = ''): { element: HTMLElement; body: HTMLElement; note: HTMLElement } {
  const body = domOf(h('div', {}));
  const said = domOf(h('p', { class: 'faint' }, note));
  const element = domOf(h('section', {}, h('h2', {}, title)));
  element.append(said, body);
  element.hidden = true;
  return { element, body, note: said };
}

export class Board {
  readonly element = domOf(h('main', {}));
  readonly #runs: readonly LiveRun[];
  readonly #charts = new Charts();
  readonly #figures = new Figures();
  readonly #pictures: readonly Pictures[];
  readonly #head = domOf(h('header', { class: 'head' }));
  readonly #troubles = domOf(h('div', { class: 'troubles', role: 'status' }));
  readonly #axes = domOf(h('div', { class: 'choice', role: 'group', 'aria-label': 'axis of the curves' }));
  readonly #verdicts = domOf(h('div', { class: 'wide verdicts' }));
  readonly #compared = new Folded(this.#verdicts, 'comparisons');
  readonly #parts = {
    verdicts: section(
      'Beside the first run',
      'By what both logged at the ends of their epochs; within 2 % counts as together.',
    ),
    pictures: section(
      'Reconstructions through time',
      "The same images under the same masks; removed patches are the model's, the others the image's own.",
    ),
    curves: section('Curves'),
    kernels: section('Kernels of one step'),
    epochs: section('Epochs', 'log.txt, the newest first.'),
    settings: section('Settings'),
  };
  #axis: Axis;
  #lost = false;
  /** What was made of facts, which rarely change. */
  #facts = '';
  #epochs: { table: Table; folded: Folded; columns: string } | null = null;

  constructor(runs: readonly LiveRun[]) {
    this.#runs = runs;
    this.#pictures = runs.map(() => new Pictures());
    const lengths = new Set(runs.map(({ facts }) => facts?.stepsPerEpoch));
    // Steps of another batch size are no measure.
    this.#axis = lengths.size > 1 && !lengths.has(undefined) ? 'epoch' : 'step';
    const { verdicts, ...others } = this.#parts;
    this.element.append(this.#head, this.#troubles, verdicts.element);
    if (runs.length > 1) this.element.append(this.#chooseAxis());
    else this.element.append(this.#figures.element);
    if (runs.length > 1) verdicts.body.append(this.#compared.element);
    this.#parts.curves.body.append(this.#charts.others);
    this.element.append(this.#charts.first, ...Object.values(others).map(({ element }) => element));
    this.#layPictures();
  }

  /** Everything anew. */
  show(): void {
    this.#charts.show(this.#runs, this.#axis);
    this.update();
  }

  add(run: LiveRun, metric: string, step: number, value: number): void {
    this.#charts.add(run, metric, step, value);
  }

  compare(comparison: readonly Comparison[]): void {
    const table = verdicts(this.#runs, comparison);
    this.#parts.verdicts.element.hidden = table === null;
    if (!table) return;
    this.#verdicts.replaceChildren(table);
    const rows = comparison.reduce((sum, one) => sum + one.rows.length, 0);
    this.#compared.count(rows, rows + comparison.length);
  }

  /** Whether the server answers. */
  connected(yes: boolean): void {
    if (this.#lost === !yes) return;
    this.#lost = !yes;
    this.update();
  }

  close(): void {
    this.#charts.close();
    this.element.remove();
  }

  /** What is said of the runs by now. */
  update(): void {
    const runs = this.#runs;
    const facts = JSON.stringify([this.#lost, runs.map(({ standing }) => standing.facts)]);
    if (runs.length === 1) this.#headOf(runs[0]);
    else
      this.#head.replaceChildren(
        domOf(h('h1', {}, `${runs.length} runs`)),
        runsTable(runs, (run) => this.#stateOf(run)),
      );
    this.#showTroubles();
    this.#parts.curves.element.hidden = !this.#charts.others.children.length;
    this.#parts.pictures.element.hidden = !runs.some(({ standing }) => standing.pictures.length);
    for (const [i, run] of runs.entries()) {
      this.#pictures[i].show(run);
      (this.#pictures[i].gallery.element.parentElement as HTMLElement).hidden = !run.standing.pictures.length;
    }
    if (runs.length === 1) this.#showEpochs(runs[0]);
    if (facts === this.#facts) return;
    this.#facts = facts;
    this.#showKernels();
    this.#showSettings();
  }

  /** What there is to know beyond the states; that the server is gone is said once. */
  #showTroubles(): void {
    const several = this.#runs.length > 1;
    const lost = this.#runs.some((run) => this.#stateOf(run) === 'lost');
    const troubles = this.#runs.flatMap((run) => {
      const state = this.#stateOf(run);
      const said = [state === 'lost' ? '' : explained(state, run.standing), ...run.standing.problems].filter(Boolean);
      return said.map((text) => h('p', {}, ...(several ? [h('b', {}, `${run.name} `)] : []), text));
    });
    const shown = lost ? [h('p', {}, explained('lost', this.#runs[0].standing)), ...troubles] : troubles;
    const said = JSON.stringify(shown);
    if (said === this.#troubles.dataset.said) return;
    this.#troubles.dataset.said = said;
    this.#troubles.replaceChildren(...shown.map(domOf));
  }

  #stateOf(run: LiveRun): Shown {
    const { state } = run.standing;
    return this.#lost && ['running', 'waiting', 'unknown'].includes(state) ? 'lost' : state;
  }

  #headOf(run: LiveRun): void {
    const { step, total } = progress(run);
    const state = this.#stateOf(run);
    const part = total ? Math.min(1, step / total) : 0;
    if (!this.#head.children.length) {
      this.#head.append(
        domOf(h('p', { class: 'faint kind' })),
        domOf(h('div', { class: 'title' }, h('h1', { title: run.path }, run.name), h('span', { class: 'state' }))),
        domOf(h('p', { class: 'faint said' })),
        domOf(h('progress', { max: '1', 'aria-label': 'part of the run that is done' })),
      );
    }
    const [kind, title, said, bar] = this.#head.children;
    setText(kind, run.facts?.command ?? 'run');
    const chip = title.querySelector('.state') as HTMLElement;
    if (chip.dataset.state !== state) chip.replaceChildren(domOf(pill(state)));
    chip.dataset.state = state;
    setText(said, summary(run));
    (bar as HTMLProgressElement).value = state === 'finished' ? 1 : part;
    this.#figures.show(figuresOf(run, state === 'running'));
  }

  #layPictures(): void {
    const several = this.#runs.length > 1;
    for (const [i, run] of this.#runs.entries()) {
      const block = domOf(h('div', { class: 'block' }, ...(several ? [h('h3', {}, swatch(run), run.name)] : [])));
      block.append(this.#pictures[i].gallery.element);
      this.#parts.pictures.body.append(block);
    }
  }

  #showEpochs(run: LiveRun): void {
    const { columns, rows } = epochRows(run);
    const names = JSON.stringify(columns);
    const { element, body } = this.#parts.epochs;
    element.hidden = !rows.length;
    if (this.#epochs?.columns !== names) {
      const made = new Table(columns);
      this.#epochs = { table: made, folded: new Folded(made.element, 'epochs'), columns: names };
      body.replaceChildren(this.#epochs.folded.element);
    }
    this.#epochs.table.show(rows);
    this.#epochs.folded.count(rows.length);
  }

  #showKernels(): void {
    const { element, body, note } = this.#parts.kernels;
    const single = this.#runs.length === 1 ? kernelsOf(this.#runs[0].facts) : null;
    const found = single ? { columns: KERNEL_COLUMNS, rows: single.rows } : kernelsBeside(this.#runs);
    element.hidden = !found;
    if (!found) return;
    setText(note, single?.how ?? 'ms in the step that each run timed.');
    const table = new Table(found.columns);
    table.show(found.rows);
    const folded = new Folded(table.element, 'kernels');
    folded.count(found.rows.length);
    body.replaceChildren(folded.element);
  }

  #showSettings(): void {
    const { element, body, note } = this.#parts.settings;
    const [first] = this.#runs;
    element.hidden = !first.facts;
    if (!first.facts) return;
    if (this.#runs.length === 1) {
      setText(
        note,
        `Node ${first.facts.node}, begun ${new Date(first.facts.began).toLocaleString('en-GB')}, in ${first.path}`,
      );
      body.replaceChildren(domOf(settings(settingsOf(first.facts))));
      return;
    }
    const { element: table, same } = differences(this.#runs);
    setText(note, table ? `In these the runs differ; ${same} others are the same.` : `All ${same} are the same.`);
    body.replaceChildren(...(table ? [table] : []));
  }

  #chooseAxis(): HTMLElement {
    for (const axis of ['step', 'epoch'] as const) {
      const input = domOf(h('input', { type: 'radio', name: 'axis', value: axis })) as HTMLInputElement;
      input.checked = axis === this.#axis;
      input.addEventListener('change', () => {
        this.#axis = axis;
        this.#charts.show(this.#runs, axis);
      });
      const label = domOf(h('label', {}));
      label.append(input, `by ${axis}`);
      this.#axes.append(label);
    }
    return this.#axes;
  }
}
