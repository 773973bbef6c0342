// The course of a training run as an SVG: loss of every step, its moving average, and the held-out loss.
import type { TopLevelSpec } from 'vega-lite';
import { fail } from '../../engine/errors.ts';

export interface Point {
  readonly step: number;
  readonly loss: number;
}

export interface Curves {
  /** Loss of every optimizer step, in order. */
  readonly train: readonly Point[];
  /** Loss on held-out images under fixed masks; may be empty. */
  readonly heldout: readonly Point[];
  readonly title: string;
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

/** A centred moving average over a twenty-fifth of the run, shorter towards its ends so that it follows the first fall. */
export function smooth(points: readonly Point[]): Point[] {
  const half = Math.max(1, Math.floor(points.length / 50));
  return points.map(({ step }, i) => {
    const reach = Math.min(half, i, points.length - 1 - i);
    const part = points.slice(i - reach, i + reach + 1);
    return { step, loss: part.reduce((sum, p) => sum + p.loss, 0) / part.length };
  });
}

export async function lossCurve(curves: Curves): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]).catch((error: Error) =>
    fail(`loss curve: needs the packages vega and vega-lite: npm install (${error.message.split('\n')[0]})`),
  );
  const view = new vega.View(vega.parse(compile(specification(curves)).spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specification({ train, heldout, title }: Curves): TopLevelSpec {
  const raw = thin(train);
  const smoothed = smooth(raw);
  const named = (name: string, points: readonly Point[]) => ({ values: points.map((p) => ({ ...p, series: name })) });
  const series = heldout.length ? [RAW, SMOOTH, HELDOUT] : [RAW, SMOOTH];
  const shown = [...smoothed, ...heldout].map((p) => p.loss);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const margin = 0.08 * (high - low || 1);
  const line = { type: 'line', strokeJoin: 'round' } as const;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: { text: title, anchor: 'start', offset: 12 },
    width: 720,
    height: 360,
    padding: 16,
    background: 'white',
    config: {
      view: { stroke: null },
      font: 'Helvetica, Arial, "DejaVu Sans", sans-serif',
      axis: {
        labelFontSize: 12,
        titleFontSize: 13,
        titlePadding: 10,
        gridColor: '#e6e6ea',
        domainColor: '#9a9aa3',
        tickColor: '#9a9aa3',
        titleFontWeight: 'normal',
      },
      legend: { labelFontSize: 12, labelLimit: 300 },
      title: { fontSize: 15 },
    },
    encoding: {
      x: { field: 'step', type: 'quantitative', title: 'optimizer step', axis: { format: '~s', tickCount: 8 } },
      y: {
        field: 'loss',
        type: 'quantitative',
        title: 'masked mean squared error',
        scale: { domain: [Math.max(0, low - margin), high + margin], nice: true, zero: false },
      },
      color: {
        field: 'series',
        type: 'nominal',
        title: null,
        scale: { domain: series, range: ['#b9cfe4', '#1f5f99', '#d1602b'] },
        legend: {
          orient: 'top-right',
          symbolType: 'stroke',
          symbolStrokeWidth: 3,
          symbolSize: 300,
          fillColor: 'white',
          padding: 8,
        },
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
