// The metrics of a run: curves of them, what they are called, and in which order they are shown.
import { Series, type SeriesData } from '../web/parts/series.ts';
import type { Line } from './lines.ts';

/** Titles of metrics that are not their own best name, and what their numbers are multiplied by. */
const KNOWN: Readonly<Record<string, { title: string; scale?: number }>> = {
  lr: { title: 'Learning rate' },
  images_per_s: { title: 'Images per second, so far' },
  gpu_bytes: { title: 'Device memory, MiB', scale: 1 / 2 ** 20 },
  mask_ratio: { title: 'Mask ratio' },
  grad_norm: { title: 'Norm of the gradients' },
  loss_scale: { title: 'Loss scale' },
  left_out: { title: 'Steps left out' },
  loss: { title: 'Training loss' },
  heldout_loss: { title: 'Held-out loss' },
  test_loss: { title: 'Validation loss' },
  test_acc1: { title: 'Validation top-1, %' },
  test_acc5: { title: 'Validation top-5, %' },
  knn_top1: { title: 'kNN top-1, %' },
  linear_top1: { title: 'Linear top-1, %' },
  effective_rank: { title: 'Effective rank' },
};
/** What tells where a line belongs. */
const PLACES = new Set(['step', 'epoch']);
/** The loss comes first, metrics of the machine last. */
const FIRST = ['loss', 'heldout_loss', 'test_acc1', 'test_loss', 'knn_top1', 'linear_top1'];
const LAST = ['lr', 'images_per_s', 'gpu_bytes'];

interface Named {
  readonly title: string;
  readonly scale: number;
  /** The axis begins at 0: what should be seen to stay flat. */
  readonly zero: boolean;
}

export function named(metric: string): Named {
  const { title = metric.replaceAll('_', ' '), scale = 1 } = KNOWN[metric] ?? {};
  return { title, scale, zero: metric === 'gpu_bytes' };
}

const rank = (metric: string): number => {
  const first = FIRST.indexOf(metric);
  return first >= 0 ? first - FIRST.length : LAST.indexOf(metric) + 1;
};

/** In the order in which they are shown. */
export const ordered = (metrics: Iterable<string>): string[] =>
  [...new Set(metrics)].filter((name) => !PLACES.has(name)).sort((a, b) => rank(a) - rank(b));

/** metrics.jsonl by metric and optimizer step. */
export class Metrics {
  readonly #series = new Map<string, Series>();
  lines = 0;
  lastStep = 0;

  add(line: Line): void {
    const { step } = line;
    if (step === undefined) return;
    this.lines++;
    this.lastStep = Math.max(this.lastStep, step);
    for (const [name, value] of Object.entries(line)) {
      if (PLACES.has(name)) continue;
      let series = this.#series.get(name);
      if (!series) {
        series = new Series();
        this.#series.set(name, series);
      }
      series.append(step, value);
    }
  }

  clear(): void {
    this.#series.clear();
    this.lines = this.lastStep = 0;
  }

  /** As it is now: what comes later does not change it. */
  get data(): Record<string, SeriesData> {
    const held = ({ x, y, each, last }: Series): SeriesData => ({ x: [...x], y: [...y], each, last });
    return Object.fromEntries([...this.#series].map(([name, series]) => [name, held(series)]));
  }
}
