// The curves of a report: loss first, then every other number of the logs by optimizer step.
import { basename } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { loadSharp } from '../data/sharp.ts';
import { lossCurve, thin, type Point } from '../pictures/loss-curve.ts';
import { LOOK, renderSvg } from '../pictures/vega.ts';
import type { Line, RunFolder } from './gather.ts';

export interface Chart {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** Titles of metrics that are not their own best name, and what their numbers are multiplied by. */
const KNOWN: Readonly<Record<string, { title: string; scale?: number }>> = {
  lr: { title: 'learning rate' },
  images_per_s: { title: 'images per second, mean since the start' },
  gpu_bytes: { title: 'GPU memory, MiB', scale: 1 / 2 ** 20 },
  mask_ratio: { title: 'mask ratio' },
  grad_norm: { title: 'norm of the gradients' },
  test_loss: { title: 'validation loss' },
  test_acc1: { title: 'validation top-1, %' },
  test_acc5: { title: 'validation top-5, %' },
  knn_top1: { title: 'kNN top-1 of the features, %' },
  linear_top1: { title: 'linear top-1 of the features, %' },
  effective_rank: { title: 'effective rank of the features' },
};
/** Shown in the first chart, or no curves. */
const ELSEWHERE = new Set(['step', 'epoch', 'loss', 'heldout_loss']);
/** Metrics of the machine come last. */
const OF_THE_MACHINE = ['images_per_s', 'gpu_bytes'];

/** The loss first. */
export async function charts({ metrics, facts, name }: RunFolder): Promise<Chart[]> {
  const finetuned = facts?.command === 'finetune';
  const { model, data_path, objective, loss: scored = objective === 'simmim' ? 'l1' : 'mse' } = facts?.options ?? {};
  const loss = await lossCurve({
    train: pointsOf(metrics, 'loss'),
    heldout: pointsOf(metrics, 'heldout_loss'),
    title: model && data_path ? `${model} on ${basename(String(data_path))}` : name,
    measure: finetuned ? 'cross-entropy' : `masked ${scored === 'l1' ? 'absolute' : 'mean squared'} error`,
  });
  const made: Chart[] = [{ name: 'loss', title: 'Loss', svg: loss }];
  for (const metric of metricsOf(metrics)) {
    const { title = metric.replaceAll('_', ' '), scale = 1 } = KNOWN[metric] ?? {};
    const points = pointsOf(metrics, metric).map(({ step, loss: value }) => ({ step, loss: scale * value }));
    if (new Set(points.map((p) => p.step)).size > 1)
      made.push({ name: metric, title, svg: await renderSvg(specification(title, points, metric === 'gpu_bytes')) });
  }
  return made;
}

export async function pngOf({ svg }: Chart): Promise<Uint8Array> {
  const sharp = await loadSharp();
  return sharp(Buffer.from(svg), { density: 144 }).png().toBuffer();
}

function metricsOf(lines: readonly Line[]): string[] {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter((name) => !ELSEWHERE.has(name));
  const last = (name: string): number => OF_THE_MACHINE.indexOf(name);
  return names.sort((a, b) => last(a) - last(b));
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
    mark: { type: 'line', strokeWidth: 2, color: '#1f5f99', ...(few ? { point: { size: 24, filled: true } } : {}) },
    encoding: {
      x: {
        field: 'step',
        type: 'quantitative',
        title: 'optimizer step',
        axis: { format: '~s', tickCount: 6 },
        scale: { zero: true },
      },
      y: { field: 'loss', type: 'quantitative', title: null, scale: { zero, nice: true } },
    },
  } as TopLevelSpec;
}
