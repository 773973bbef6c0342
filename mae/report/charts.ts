// The curves of a report: loss first, then every other number of the logs by optimizer step.
import { basename } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { loadSharp } from '../data/sharp.ts';
import { lossCurve, thin, type Point } from '../pictures/loss-curve.ts';
import { LOOK, renderSvg } from '../pictures/vega.ts';
import type { RunFolder } from './gather.ts';
import type { Line } from './lines.ts';
import { named, ordered } from './metrics.ts';
import { measureOf } from './say.ts';

export interface Chart {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** Shown in the first chart. */
const OF_THE_LOSS = ['loss', 'heldout_loss'];

/** The loss first. */
export async function charts({ metrics, facts, name }: RunFolder): Promise<Chart[]> {
  const { model, data_path } = facts?.options ?? {};
  const loss = await lossCurve({
    train: pointsOf(metrics, 'loss'),
    heldout: pointsOf(metrics, 'heldout_loss'),
    title: model && data_path ? `${model} on ${basename(String(data_path))}` : name,
    measure: measureOf(facts),
  });
  const made: Chart[] = [{ name: 'loss', title: 'Loss', svg: loss }];
  for (const metric of ordered(metrics.flatMap((line) => Object.keys(line)))) {
    if (OF_THE_LOSS.includes(metric)) continue;
    const { title, scale, zero } = named(metric);
    const points = pointsOf(metrics, metric).map(({ step, loss: value }) => ({ step, loss: scale * value }));
    if (new Set(points.map((p) => p.step)).size > 1)
      made.push({ name: metric, title, svg: await renderSvg(specification(title, points, zero)) });
  }
  return made;
}

export async function pngOf({ svg }: Chart): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(Buffer.from(svg), { density: 144 }).png().toBuffer();
}

const pointsOf = (lines: readonly Line[], metric: string): Point[] =>
  lines.flatMap((line) => (metric in line && 'step' in line ? [{ step: line.step, loss: line[metric] }] : []));

/** @param zero whether the axis begins there: for what should be seen to stay flat */
function specification(title: string, points: readonly Point[], zero: boolean): TopLevelSpec {
  const few = points.length <= 60;
  return {
    ...LOOK,
    title: { text: title, anchor: 'start', offset: 8, fontSize: 13 },
    // With its labels, so that charts side by side have one size.
    autosize: { type: 'fit', contains: 'padding' },
    width: 470,
    height: 250,
    data: { values: [...thin(points, 600)] },
    mark: {
      type: 'line',
      strokeWidth: 2,
      color: '#1f5f99',
      ...(few ? { point: { size: 24, filled: true, color: '#1f5f99' } } : {}),
    },
    encoding: {
      x: {
        field: 'step',
        type: 'quantitative',
        title: 'optimizer step',
        axis: { format: '~s', tickCount: 6 },
        scale: { zero: true },
      },
      y: { field: 'loss', type: 'quantitative', title: null, scale: { zero, nice: true, ...flat(points) } },
    },
  } as TopLevelSpec;
}

/** Room around what stays the same to three digits: its last digits are not what an axis should show. */
function flat(points: readonly Point[]): { domain?: [number, number] } {
  const values = points.map((p) => p.loss);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const size = Math.max(Math.abs(low), Math.abs(high));
  return size > 0 && high - low < 1e-3 * size ? { domain: [low - 0.05 * size, high + 0.05 * size] } : {};
}
