// Batches decoded and packed ahead of the device: by threads, or here, where decoding alone is the image library's threads' work.
import { fail } from '../../engine/errors.ts';
import { spanned } from '../../engine/timings.ts';
import type { DamagedImage, Replacement } from './damage.ts';
import type { Dataset } from './dataset.ts';
import { type Capacities, layOut, newCapacities, type Packed, type PackTo, roomOf } from './pack.ts';
import { type Manner, readHere, type ReadParts, readThere, settled } from './parts.ts';
import { queueOf } from './queue.ts';
import type { Place } from './sampler.ts';

/** A batch on the host: cropped bytes of its images, packed one behind the other, to be resized on the device (Preparer). */
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

/** Which images are loaded, what is seen of each, and with how much beside. */
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
  /** Without threads, images decoded at a time: what bounds decoded but not yet packed memory. As many as `workers`, unless said. */
  readonly concurrency?: number;
  /**
   * Threads that decode in its place, where images are decoded and are not few: as many as suit the machine, or so many; 0: none. Batches are
   * the same.
   */
  readonly workers?: number;
  /**
   * What stands in for an image that cannot be decoded; without it such an image fails its batch. The crop and all else that is drawn stay those
   * of the damaged image's number; pixels and label are the other's.
   */
  readonly replacement?: Replacement;
  /** Shared by all loaders of a run. */
  readonly capacities?: Capacities;
}

/** Images of a batch that one thread reads together. */
const PART = 8;
/** Images that one thread alone decodes at a time, where nothing is said. */
const AT_ONCE = 10;

/** Batches in a whole epoch. */
export const batchCount = (samples: number, batchSize: number): number => Math.ceil(samples / batchSize);

const range = (index: number, size: number): [number, number] => [index * size, (index + 1) * size];

/** Yields the epoch's batches in order. What fails in decoding is thrown at the batch that it belongs to. */
export async function* loadBatches(dataset: Dataset, options: LoaderOptions): AsyncGenerator<Batch, void, undefined> {
  const { order, batchSize, places, startBatch = 0, ahead = 2, workers, concurrency = workers || AT_ONCE } = options;
  if (!(Number.isInteger(batchSize) && batchSize > 0))
    fail(`loader: batch_size must be a whole number >= 1, got ${batchSize}`);
  const beyond = order.find((id) => id >= dataset.length);
  if (beyond !== undefined) fail(`loader: there is no image ${beyond}, ${dataset.name} has ${dataset.length}`);
  const capacities = options.capacities ?? newCapacities();
  let stopped = false;
  const { place, output: to, replacement } = options;
  const manner: Manner = { replacement, place, to, wanted: () => !stopped };
  const end = places ? places.length - 1 : batchCount(order.length, batchSize);
  const images = order.length - (places ? places[startBatch] : startBatch * batchSize);
  const read = (await threaded(dataset, manner, workers, images)) ?? readHere(dataset, manner, queueOf(concurrency));
  const assemble = async (index: number, before: Promise<unknown>): Promise<Batch> => {
    const ids = places ? order.slice(places[index], places[index + 1]) : order.slice(...range(index, batchSize));
    const count = ids.length;
    const labels = new Int32Array(count);
    const damaged: DamagedImage[][] = Array.from(ids, () => []);
    const firsts = Array.from({ length: Math.ceil(count / PART) }, (_, i) => i * PART);
    const parts = firsts.map((first) => {
      const size = Math.min(PART, count - first);
      return read({ first, count: size, ids, labels, damaged }, roomOf(size, count, to));
    });
    const all = (await settled(parts)).flat();
    // In order, so that sizes grow in the same steps whichever batch is read first.
    await before;
    if (stopped) throw new Error('loader: stopped');
    return { index, ids, labels, damaged: damaged.filter((found) => found.length > 0), ...layOut(all, to, capacities) };
  };

  const pending: Promise<Batch>[] = [];
  let next = startBatch;
  let laidOut: Promise<unknown> = Promise.resolve();
  const fill = (): void => {
    while (next < end && pending.length < ahead) {
      const index = next++;
      const before = laidOut;
      const batch = spanned('decode', `batch ${index}`, () => assemble(index, before));
      // Awaited below, perhaps much later: until then a failure is not an unhandled one.
      laidOut = batch.catch(() => {});
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

/** Where the set's images are decoded, and threads do it. */
async function threaded(
  { read }: Dataset,
  manner: Manner,
  workers: number | undefined,
  images: number,
): Promise<ReadParts | null> {
  const { told } = manner.place;
  if (!read.encoded || !told) return null;
  const threads = await read.encoded.threads(workers, images);
  return threads && readThere(read.encoded, threads, told, manner);
}
