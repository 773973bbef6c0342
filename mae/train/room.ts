// Room for a run on the device: what it will take for any cut of its batches, and the cut that there is room for.
import { CapacityError, type OutOfMemoryError } from '../../engine/errors.ts';
import { largestBatch, splitBatch } from '../../engine/fit.ts';
import { MemoryForecast } from '../../engine/forecast.ts';
import type { Plan } from '../../engine/plan.ts';
import { bytesText } from '../bytes.ts';
import { type Cutting, Updates } from './updates.ts';

/** How to plan all that a run submits, for any size of micro-batch. */
export interface RunPlans {
  /** Images of a batch on the device, of batches that have `most` images. */
  prepare(images: number, most: number): Plan;
  /** An update over micro-batches of these sizes. */
  step(sizes: readonly number[]): readonly Plan[];
  /** What runs before the first update, and then now and then, in the order of their turns. */
  readonly looks: readonly Look[];
}

/** Forward passes over images besides training. */
export interface Look {
  readonly images: number;
  /** Of a batch of so many. */
  plan(images: number): Plan;
}

/** The plans of a run in the order of their first turn. */
export function plansOf({ prepare, step, looks }: RunPlans, updates: Updates): Plan[] {
  const looked = looks.flatMap((look) => {
    const sizes = batchSizes(look.images, updates.micro_batch);
    return sizes.flatMap((n) => [prepare(n, sizes[0]), look.plan(n)]);
  });
  const kinds = updates.count > 1 ? [0, updates.count - 1] : [0];
  const sizes = kinds.map((at) => updates.parts(at));
  return [...looked, ...sizes.flatMap((parts) => [...parts.map((n) => prepare(n, sizes[0][0])), ...step(parts)])];
}

/** The sizes that batches of `most` images at most have: `most`, and what is left for the last one. */
const batchSizes = (images: number, most: number): number[] =>
  [Math.min(images, most), images > most ? images % most : 0].filter((n) => n > 0);

export interface Room {
  /** All buffers while it trains; sizes in bytes. */
  readonly memory: MemoryForecast;
  /** The largest slab once more: a checkpoint is read back through it. */
  readonly saving: number;
  readonly peak: number;
}

export function roomFor(plans: readonly Plan[]): Room {
  const memory = new MemoryForecast(plans);
  const saving = Math.max(0, ...memory.slabs.values());
  return { memory, saving, peak: memory.total + saving };
}

export interface Limit {
  readonly bytes: number;
  /** Of what, or by which flag. */
  readonly of: string;
}

const cutOf = (cutting: Cutting, most: number): Updates =>
  new Updates({ ...cutting, micro_batch: splitBatch(cutting.batch_size, most)[0] });

/** Bytes of a run whose micro-batches have so many images at most. */
export const peakOf =
  (plans: RunPlans, cutting: Cutting) =>
  (most: number): number =>
    roomFor(plansOf(plans, cutOf(cutting, most))).peak;

interface Refused {
  /** Bytes by images of a micro-batch. */
  readonly peak: (images: number) => number;
  readonly micro_batch: number;
  readonly smaller: Smaller;
}

/** What to do for passes of so many images at most, for which buffers have so many bytes. */
export type Smaller = (images: number, bytes: number) => string;

/** Of a command that takes --memory. */
export const byMemory: Smaller = (_, bytes) =>
  `give --memory ${Math.floor(bytes / 1024)}KiB, and passes are cut accordingly, the same but for rounding`;
/** Of one that does not. */
export const byBatchSize: Smaller = (images) => `give --batch_size ${images}, and --accum_iter for the rest`;

/** What to say where the device had no room all the same: what was wanted, and what fits in what it gave. */
export function refusal({ what, bytes, held }: OutOfMemoryError, { peak, micro_batch, smaller }: Refused): string {
  const refused = `the device has no room for ${what}, ${bytesText(bytes)}, beside the ${bytesText(held)} that are in use`;
  const need = `micro-batches of ${micro_batch} images need ${bytesText(peak(micro_batch))} by their plan`;
  const room = 1024 * Math.floor(held / 1024);
  const fitting = largestBatch(peak, room, micro_batch - 1);
  const remedy = fitting
    ? `those of ${fitting} would fit: ${smaller(fitting, room)}`
    : 'not even one image fits: close what else uses the device, or take a smaller model';
  return `memory: ${refused}; ${need}, ${remedy}`;
}

/**
 * The cut of a run's batches that there is room for: whole passes where they fit, else micro-batches, which a line tells of.
 * A run that goes on keeps the cut that it had, so that its bits are the same, unless it has no room here.
 * @param before most images of a micro-batch of the run that goes on; null at the beginning
 */
export function cutToFit(
  plans: RunPlans,
  cutting: Cutting,
  limit: Limit | null,
  before: number | null,
  note: (line: string) => void,
): Updates {
  const { batch_size } = cutting;
  const bytes = limit?.bytes ?? Number.POSITIVE_INFINITY;
  const cut = (micro_batch: number): Updates => cutOf(cutting, micro_batch);
  const peak = peakOf(plans, cutting);
  const say = (updates: Updates, why: string): Updates => {
    const sizes = splitBatch(batch_size, updates.micro_batch);
    const each = sizes[0] === sizes.at(-1) ? `${sizes[0]}` : `${sizes[0]} or ${sizes.at(-1)}`;
    const parts = `${sizes.length} micro-batches of ${each}, whose gradients are averaged (the same but for rounding)`;
    note(`memory: a pass of ${batch_size} images is computed as ${parts}: ${why}`);
    return updates;
  };
  const first = cut(Math.min(before ?? batch_size, batch_size));
  const why = lack(() => peak(first.micro_batch), limit);
  if (!why) return first.micro_batch < batch_size ? say(first, 'as when the run began') : first;
  const most = largestBatch(peak, bytes, first.micro_batch - 1);
  if (most === 0) throw new CapacityError(`memory: not even one image has room: ${lack(() => peak(1), limit) ?? why}`);
  if (before !== null) note('resume: its passes are cut otherwise than before: results will not be bit-identical');
  return say(cut(most), why);
}

/** Why something has no room; null where it has. */
export function lack(peak: () => number, limit: Limit | null): string | null {
  try {
    const needed = peak();
    if (needed <= (limit?.bytes ?? Number.POSITIVE_INFINITY)) return null;
    return `${bytesText(needed)} would be needed of ${bytesText(limit?.bytes ?? 0)} (${limit?.of})`;
  } catch (error) {
    if (error instanceof CapacityError) return error.message.replace(/^plan: /, '').replace(/; use a smaller.*/, '');
    throw error;
  }
}
