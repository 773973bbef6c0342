// Batches decoded and packed ahead of the device. Decoding runs in the image library's threads, packing here.
import { fail } from '../../engine/errors.ts';
import { spanned } from '../../engine/timings.ts';
import { type DamagedImage, type Replacement, readOrReplace } from './damage.ts';
import type { Dataset } from './dataset.ts';
import { type Capacities, newCapacities, type Packed, packer, type PackTo } from './pack.ts';
import type { Place } from './sampler.ts';

export interface Batch extends Packed {
  /** Place in the epoch, from 0. */
  readonly index: number;
  /** Indices into the dataset: the sample ids that key all randomness. */
  readonly ids: Uint32Array;
  /** Classes; -1 where unlabelled. */
  readonly labels: Int32Array;
  /** For every image that another stands in for: the damaged ones that were met in looking for it. */
  readonly damaged: readonly (readonly DamagedImage[])[];
}

export interface LoaderOptions {
  /** Indices into the dataset, in the order to read them: a whole epoch. */
  readonly order: Uint32Array;
  readonly batchSize: number;
  /** Instead of batches of one size: where in the order every one begins, and where the last one ends. */
  readonly places?: readonly number[];
  /** Batches to leave out at the front, for a resume within an epoch. */
  readonly startBatch?: number;
  readonly place: Place;
  readonly output: PackTo;
  /** Batches in memory beside the one that is handed out. */
  readonly ahead?: number;
  /** Images decoded at a time: what bounds decoded but not yet packed memory. */
  readonly concurrency?: number;
  /**
   * What stands in for an image that cannot be decoded; without it such an image fails its batch. The crop and all else that is drawn stay those
   * of the damaged image's number; pixels and label are the other's.
   */
  readonly replacement?: Replacement;
  /** Shared by all loaders of a run. */
  readonly capacities?: Capacities;
}

/** Batches in a whole epoch. */
export const batchCount = (samples: number, batchSize: number): number => Math.ceil(samples / batchSize);

const range = (index: number, size: number): [number, number] => [index * size, (index + 1) * size];

/** Yields the epoch's batches in order. What fails in decoding is thrown at the batch that it belongs to. */
export async function* loadBatches(dataset: Dataset, options: LoaderOptions): AsyncGenerator<Batch, void, undefined> {
  const { order, batchSize, places, startBatch = 0, ahead = 2, concurrency = 4, replacement } = options;
  if (!(Number.isInteger(batchSize) && batchSize > 0))
    fail(`loader: batch_size must be a whole number >= 1, got ${batchSize}`);
  const capacities = options.capacities ?? newCapacities();
  const turns = queueOf(concurrency);
  let stopped = false;
  const assemble = async (index: number): Promise<Batch> => {
    const ids = places ? order.slice(places[index], places[index + 1]) : order.slice(...range(index, batchSize));
    const labels = new Int32Array(ids.length);
    const pack = packer(ids.length, options.output, capacities);
    const damaged: DamagedImage[][] = Array.from(ids, () => []);
    const one = async (slot: number): Promise<void> => {
      if (stopped) return;
      const sample = await readOrReplace(dataset, ids[slot], replacement, (found) => damaged[slot].push(found));
      labels[slot] = sample.label;
      pack.add(slot, sample, options.place(ids[slot], sample));
    };
    // All settle before the first failure is passed on, so that nothing of a failed batch still runs.
    const results = await Promise.allSettled(Array.from(ids, (_, slot) => turns(() => one(slot))));
    const failed = results.find((r) => r.status === 'rejected');
    if (failed) throw failed.reason;
    if (stopped) throw new Error('loader: stopped');
    return { index, ids, labels, damaged: damaged.filter((found) => found.length > 0), ...pack.finish() };
  };

  const end = places ? places.length - 1 : batchCount(order.length, batchSize);
  const pending: Promise<Batch>[] = [];
  let next = startBatch;
  const fill = (): void => {
    while (next < end && pending.length < ahead) {
      const index = next++;
      const batch = spanned('decode', `batch ${index}`, () => assemble(index));
      // Awaited below, perhaps much later: until then a failure is not an unhandled one.
      batch.catch(() => {});
      pending.push(batch);
    }
  };
  try {
    for (fill(); pending.length; fill()) {
      const batch = await pending[0];
      pending.shift();
      fill();
      yield batch;
    }
  } finally {
    stopped = true;
    await Promise.allSettled(pending);
  }
}

/** At most `limit` tasks at a time, started in the order asked. */
function queueOf(limit: number): <T>(task: () => Promise<T>) => Promise<T> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running >= limit) await new Promise<void>((go) => waiting.push(go));
    else running++;
    try {
      return await task();
    } finally {
      // The place passes straight to the next task, which keeps the order.
      const go = waiting.shift();
      if (go) go();
      else running--;
    }
  };
}
