// The charts of a board: one a metric, every run a curve of it; of a single run the losses together.
import { named, ordered } from '../../report/metrics.ts';
import { type Course, measureOf } from '../../report/say.ts';
import { type CurveOptions, Curves } from '../parts/curves.ts';
import { domOf } from '../parts/dom.ts';
import { h } from '../parts/markup.ts';
import type { SeriesData } from '../parts/series.ts';

/** A run as far as its curves go. */
interface Drawn extends Pick<Course, 'facts' | 'metrics'> {
  readonly id: number;
  readonly name: string;
}

export type Axis = 'step' | 'epoch';

const LABELS: Readonly<Record<Axis, string>> = { step: 'optimizer step', epoch: 'epoch' };
/** Every step has one of its own, and they jump about. */
const NOISY = new Set(['loss', 'grad_norm']);
const OF_THE_LOSS = new Set(['loss', 'heldout_loss', 'test_loss']);
/** On one chart where there is one run: a metric, and what goes with it. */
const TOGETHER: Readonly<Record<string, string>> = { heldout_loss: 'loss', test_loss: 'loss' };

export class Charts {
  /** The losses, before all else. */
  readonly first = domOf(h('div', { class: 'charts first' }));
  readonly others = domOf(h('div', { class: 'charts' }));
  readonly #charts = new Map<string, Curves>();
  #runs: readonly Drawn[] = [];
  #axis: Axis = 'step';

  /** All values of these runs. */
  show(runs: readonly Drawn[], axis: Axis): void {
    if (axis !== this.#axis) this.close();
    this.#runs = runs;
    this.#axis = axis;
    for (const metric of this.#metrics())
      for (const run of runs) {
        const data = run.metrics[metric];
        if (data) this.#curve(metric, run).take(this.#scaled(metric, run, data));
      }
  }

  /** One value more. */
  add(run: Drawn, metric: string, step: number, value: number): void {
    this.#curve(metric, run).append(this.#x(run, step), value * named(metric).scale);
  }

  close(): void {
    for (const chart of this.#charts.values()) chart.close();
    this.#charts.clear();
  }

  #metrics(): string[] {
    return ordered(this.#runs.flatMap(({ metrics }) => Object.keys(metrics)));
  }

  #x(run: Drawn, step: number): number {
    return this.#axis === 'step' ? step : step / (run.facts?.stepsPerEpoch ?? 1);
  }

  #scaled(metric: string, run: Drawn, { x, y, each, last }: SeriesData): SeriesData {
    const { scale } = named(metric);
    return {
      x: x.map((step) => this.#x(run, step)),
      y: y.map((value) => value * scale),
      each,
      last: last && { x: this.#x(run, last.x), y: last.y * scale },
    };
  }

  #curve(metric: string, run: Drawn) {
    const single = this.#runs.length === 1;
    const chart = (single && TOGETHER[metric]) || metric;
    // In the legend the chart's own metric comes first, whichever was logged first.
    if (chart !== metric) this.#curve(chart, run);
    const options: CurveOptions = {
      name: single ? nameOf(metric) : run.name,
      colour: single ? (chart === metric ? 1 : 2) : run.id + 1,
      kind: NOISY.has(metric) ? 'smooth' : chart !== metric ? 'sparse' : 'line',
    };
    return this.#chart(chart).curve(`${metric} ${run.id}`, options);
  }

  #chart(metric: string): Curves {
    const found = this.#charts.get(metric);
    if (found) return found;
    const { title, zero } = named(metric);
    const single = this.#runs.length === 1;
    const chart = new Curves({
      title: single && metric === 'loss' ? `Loss: ${measureOf(this.#runs[0].facts)}` : title,
      xLabel: LABELS[this.#axis],
      zero,
      height: OF_THE_LOSS.has(metric) ? 300 : 190,
      sync: 'x',
    });
    chart.element.dataset.metric = metric;
    this.#charts.set(metric, chart);
    // Where it belongs among the others, whenever its first value comes.
    const place = OF_THE_LOSS.has(metric) ? this.first : this.others;
    const order = ordered(this.#charts.keys()).filter((one) => OF_THE_LOSS.has(one) === OF_THE_LOSS.has(metric));
    const next = this.#charts.get(order[order.indexOf(metric) + 1] ?? '');
    place.insertBefore(chart.element, next?.element ?? null);
    return chart;
  }
}

/** Of a chart that has no other run: what the log calls it, unless there is more to say. */
const NAMES: Readonly<Record<string, string>> = {
  loss: 'training, and its moving average',
  heldout_loss: 'held-out images, fixed masks',
  test_loss: 'validation images',
};
const nameOf = (metric: string): string => NAMES[metric] ?? metric;
