// What a page says of a run, living or finished: a sentence, figures, kernels and settings.
import { bytesText } from '../bytes.ts';
import { duration, speedText } from '../durations.ts';
import { millionsText } from '../model/parameter-count.ts';
import type { RunFacts } from '../train/facts.ts';
import type { Cell, Column, Figure } from '../web/parts/pieces.ts';
import type { SeriesData } from '../web/parts/series.ts';
import { epochsDone, epochText, type Line } from './lines.ts';

/** A run as far as it came. */
export interface Course {
  readonly facts: RunFacts | null;
  /** log.txt: one line an epoch. */
  readonly epochs: readonly Line[];
  /** metrics.jsonl by metric and optimizer step. */
  readonly metrics: Readonly<Record<string, SeriesData>>;
}

const numberOf = (value: unknown): number | null =>
  value !== undefined && value !== null && Number.isFinite(Number(value)) ? Number(value) : null;

export function progress({ facts, epochs, metrics }: Course) {
  const { epochs: planned, max_steps, batch_size, accum_iter } = facts?.options ?? {};
  const perEpoch = facts?.stepsPerEpoch ?? null;
  const all = perEpoch && numberOf(planned) ? perEpoch * Number(planned) : null;
  const total = Math.min(all ?? Number.POSITIVE_INFINITY, numberOf(max_steps) ?? Number.POSITIVE_INFINITY);
  const step = Math.max(0, ...Object.values(metrics).map(({ last }) => last?.x ?? 0));
  const pace = metrics.images_per_s?.last?.y ?? null;
  const last = epochs.at(-1);
  const perStep = numberOf(batch_size) ? Number(batch_size) * (numberOf(accum_iter) ?? 1) : null;
  return {
    step,
    total: Number.isFinite(total) ? total : null,
    epochs: last ? epochsDone(last) : 0,
    plannedEpochs: numberOf(planned),
    imagesPerSecond: pace,
    /** Seconds to the end at this pace. */
    left: pace && perStep && Number.isFinite(total) ? (Math.max(0, total - step) * perStep) / pace : null,
    secondsPerEpoch: pace && perStep && perEpoch ? (perEpoch * perStep) / pace : null,
  };
}

/** A sentence: where the run stands, and on what it runs. */
export function summary(course: Course): string {
  const { epochs, plannedEpochs } = progress(course);
  const { facts } = course;
  const of = plannedEpochs ? ` of ${plannedEpochs}` : '';
  const where = facts
    ? `; ${facts.adapter}, profile ${facts.profile}, ${facts.precision}; Tesserae ${facts.tesserae}`
    : '';
  return `${epochText(epochs)}${of} epochs${where}`;
}

/** @param living with the time that is left */
export function figuresOf(course: Course, living = false): Figure[] {
  const { facts, epochs, metrics } = course;
  const { step, imagesPerSecond: pace, left, secondsPerEpoch } = progress(course);
  const list: Figure[] = [];
  const add = (key: string, label: string, value: string | undefined | null | false): void =>
    void (value && list.push({ key, label, value }));
  const last = (metric: string): number | undefined => metrics[metric]?.last?.y;
  if (living) add('loss', 'loss, last step', last('loss')?.toFixed(4));
  add('train_loss', 'loss, last epoch', epochs.at(-1)?.train_loss?.toFixed(4));
  const heldout = metrics.heldout_loss;
  const untrained = heldout?.last?.x === 0;
  add('heldout_loss', untrained ? 'held-out, untrained' : 'held-out loss', last('heldout_loss')?.toFixed(4));
  add('untrained', 'held-out, untrained', !untrained && heldout?.x[0] === 0 && heldout.y[0].toFixed(4));
  const judged = metrics.test_acc1;
  const best = judged ? Math.max(...judged.y) : Number.NaN;
  add('test_acc1', 'validation top-1', judged?.last && `${judged.last.y.toFixed(2)} %`);
  add('best_acc1', 'the best before', judged?.last && best > judged.last.y && `${best.toFixed(2)} %`);
  add('knn_top1', 'kNN top-1', last('knn_top1') !== undefined && `${last('knn_top1')?.toFixed(2)} %`);
  add('step', 'optimizer steps', String(step));
  add('images_per_s', 'images per second', pace !== null && speedText(pace));
  if (living) add('left', 'left at this pace', left !== null && duration(left));
  if (!facts) return list;
  add('parameters', 'parameters', millionsText(facts.parameters));
  add('images', 'images', String(facts.images));
  const bytes = last('gpu_bytes') ?? facts.step?.gpuBytes;
  add('gpu_bytes', 'device memory', bytes !== undefined && bytesText(bytes));
  add('epoch_s', 'an epoch takes', secondsPerEpoch !== null && duration(secondsPerEpoch));
  return list;
}

export const KERNEL_COLUMNS: readonly Column[] = [
  { label: 'kernel' },
  { label: 'calls', numeric: true },
  { label: 'ms', numeric: true },
  { label: 'share', numeric: true, bar: true },
  { label: 'GFLOP/s', numeric: true },
  { label: 'GB/s', numeric: true },
];

/** Of the step that was timed: a sentence and rows; null where none was. */
export function kernelsOf(facts: RunFacts | null): { how: string; rows: Cell[][] } | null {
  if (!facts?.step?.kernels.length) return null;
  const { kernels, byWaiting } = facts.step;
  const all = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const rate = (amount: number, ms: number): Cell =>
    amount && ms ? { text: (amount / ms / 1e6).toFixed(1), value: amount / ms } : { text: '', value: 0 };
  const rows = kernels.map(({ kernel, calls, ms, flops, bytes }): Cell[] => [
    kernel,
    { text: String(calls), value: calls },
    { text: ms.toFixed(2), value: ms },
    { text: `${((100 * ms) / all).toFixed(1)} %`, value: ms },
    rate(flops, ms),
    rate(bytes, ms),
  ]);
  const how = byWaiting
    ? 'each kernel was submitted alone and waited for, for want of timestamps'
    : 'by timestamps of the device, each kernel in a pass of its own';
  return { how: `${all.toFixed(1)} ms in all, ${how}.`, rows };
}

/** Options that are set, as text. */
export const settingsOf = (facts: RunFacts | null): [string, string][] =>
  Object.entries(facts?.options ?? {})
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => [name, Array.isArray(value) ? value.join(' x ') : String(value)]);

/** `masked mean squared error`, or what else the loss of a run is. */
export function measureOf(facts: RunFacts | null): string {
  if (facts?.command === 'finetune') return 'cross-entropy';
  const { objective, loss = objective === 'simmim' ? 'l1' : 'mse' } = facts?.options ?? {};
  return `masked ${loss === 'l1' ? 'absolute' : 'mean squared'} error`;
}
