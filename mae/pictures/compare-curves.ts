// Several runs over their epochs: one chart a metric, one colour a run, and after six of them dashes.
import type { TopLevelSpec } from 'vega-lite';
import type { RunLog } from '../compare.ts';
import { epochsDone } from '../report/lines.ts';
import { dashOf } from '../web/parts/stroke.ts';
import { LEGEND, LOOK, renderSvg } from './vega.ts';

const COLOURS = ['#1f5f99', '#d1602b', '#3b8c5a', '#8a4fa3', '#b8860b', '#5b6770'];

/** `metrics`: what to draw, one chart each, below one another. */
export const compareCurves = (runs: readonly RunLog[], metrics: readonly string[], title: string): Promise<string> =>
  renderSvg(specification(runs, metrics, title));

function specification(runs: readonly RunLog[], metrics: readonly string[], title: string): TopLevelSpec {
  // Two runs may have folders of the same name.
  const names = runs.map(({ name }, i) => (runs.findIndex((r) => r.name === name) < i ? `${name} (${i + 1})` : name));
  const of = <T>(range: T[]) => ({
    field: 'run',
    type: 'nominal' as const,
    title: null,
    scale: { domain: names, range },
    legend: LEGEND,
  });
  const color = of(names.map((_, i) => COLOURS[i % COLOURS.length]));
  const strokeDash = of(names.map((_, i) => (dashOf(i).length ? [...dashOf(i)] : [1, 0])));
  const chart = (metric: string, i: number) => ({
    width: 720,
    height: metrics.length > 2 ? 200 : 280,
    data: {
      values: runs.flatMap(({ lines }, run) =>
        lines.flatMap((line) =>
          metric in line ? [{ epoch: epochsDone(line), value: line[metric], run: names[run] }] : [],
        ),
      ),
    },
    mark: { type: 'line' as const, strokeWidth: 2, point: { size: 30, filled: true } },
    encoding: {
      x: {
        field: 'epoch',
        type: 'quantitative' as const,
        title: i === metrics.length - 1 ? 'epoch' : null,
        axis: { tickMinStep: 1 },
      },
      y: { field: 'value', type: 'quantitative' as const, title: metric, scale: { zero: false, nice: true } },
      color,
      strokeDash,
    },
  });
  return { ...LOOK, title: { text: title, anchor: 'start', offset: 12 }, vconcat: metrics.map(chart) } as TopLevelSpec;
}
