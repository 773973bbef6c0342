// The course of a training run as an SVG: loss of every step, its moving average, and the held-out loss.
import type { TopLevelSpec } from 'vega-lite';
import { smooth } from './smooth.ts';
import { LEGEND, LOOK, renderSvg } from './vega.ts';

export interface Point {
  readonly step: number;
  readonly loss: number;
}

interface Curves {
  /** Loss of every optimizer step, in order. */
  readonly train: readonly Point[];
  /** Loss on held-out images under fixed masks; may be empty. */
  readonly heldout: readonly Point[];
  readonly title: string;
  /** What the loss is; the masked mean squared error unless said. */
  readonly measure?: string;
}

const RAW = 'each step';
const SMOOTH = 'training, moving average';
const HELDOUT = 'held-out images, fixed masks';
/** Points that a reader can tell apart. */
const MOST_POINTS = 1500;

/** Losses of a run from its metrics.jsonl: lines with `step` and `loss`, or `step` and `heldout_loss`. */
export function parseMetrics(text: string): Pick<Curves, 'train' | 'heldout'> {
  const train: Point[] = [];
  const heldout: Point[] = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const { step, loss, heldout_loss } = JSON.parse(line) as { step: number; loss?: number; heldout_loss?: number };
    if (typeof loss === 'number') train.push({ step, loss });
    if (typeof heldout_loss === 'number') heldout.push({ step, loss: heldout_loss });
  }
  return { train, heldout };
}

/** Means over runs of points, so that at most `most` are left. */
export function thin(points: readonly Point[], most = MOST_POINTS): Point[] {
  const run = Math.ceil(points.length / most);
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return Array.from({ length: Math.ceil(points.length / run) || 0 }, (_, i) => {
    const part = points.slice(i * run, (i + 1) * run);
    return { step: mean(part.map((p) => p.step)), loss: mean(part.map((p) => p.loss)) };
  });
}

export const lossCurve = (curves: Curves): Promise<string> => renderSvg(specification(curves));

function specification({ train, heldout, title, measure = 'masked mean squared error' }: Curves): TopLevelSpec {
  const raw = thin(train);
  const averages = smooth(raw.map(({ loss }) => loss));
  const smoothed = raw.map(({ step }, i) => ({ step, loss: averages[i] }));
  const named = (name: string, points: readonly Point[]) => ({ values: points.map((p) => ({ ...p, series: name })) });
  const series = heldout.length ? [RAW, SMOOTH, HELDOUT] : [RAW, SMOOTH];
  const shown = [...smoothed, ...heldout].map((p) => p.loss);
  // What single steps reach above it is cut off: the first ones would flatten all the rest.
  const [low, high] = [Math.min(...shown, ...raw.map((p) => p.loss)), Math.max(...shown)];
  const margin = 0.08 * (high - low || 1);
  const line = { type: 'line', strokeJoin: 'round' } as const;
  return {
    ...LOOK,
    title: { text: title, anchor: 'start', offset: 12 },
    width: 720,
    height: 360,
    encoding: {
      x: { field: 'step', type: 'quantitative', title: 'optimizer step', axis: { format: '~s', tickCount: 8 } },
      y: {
        field: 'loss',
        type: 'quantitative',
        title: measure,
        scale: { domain: [Math.max(0, low - margin), high + margin], nice: true, zero: false },
      },
      color: {
        field: 'series',
        type: 'nominal',
        title: null,
        scale: { domain: series, range: ['#b9cfe4', '#1f5f99', '#d1602b'] },
        legend: LEGEND,
      },
    },
    layer: [
      { data: named(RAW, raw), mark: { ...line, strokeWidth: 1, clip: true } },
      { data: named(SMOOTH, smoothed), mark: { ...line, strokeWidth: 2.5 } },
      {
        data: named(HELDOUT, heldout),
        mark: { ...line, strokeWidth: 1.5, strokeDash: [5, 4], point: { size: 45, filled: true } },
      },
    ],
  };
}
