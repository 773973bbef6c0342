// Images of a batch that follow one another, read and packed: here, or by threads. Damaged ones are replaced.
import { type DamagedImage, readOrReplace, type Replacement } from './damage.ts';
import type { Dataset, ReadingThreads, Reading } from './dataset.ts';
import { packer, type PackTo, type Part, type Room } from './pack.ts';
import { errorOf, type PartJob, type PartResult } from './part.ts';
import type { Queue } from './queue.ts';
import type { Place, ToldPlace } from './sampler.ts';

/** Some places of a batch, and where to put what is known of them beside their pixels. */
export interface Places {
  readonly first: number;
  /** The batch's, of which these are `count` from `first` on. */
  readonly count: number;
  readonly ids: Uint32Array;
  readonly labels: Int32Array;
  readonly damaged: DamagedImage[][];
}

/** How those of an epoch are read. */
export interface Manner {
  readonly replacement: Replacement | undefined;
  readonly place: Place;
  readonly to: PackTo;
  readonly wanted: () => boolean;
}

export type ReadParts = (places: Places, room: Room) => Promise<readonly Part[]>;

const slotsOf = ({ first, count }: Places): number[] => Array.from({ length: count }, (_, i) => first + i);

/** All settle before the first failure is passed on, so that nothing of a failed batch still runs. */
export async function settled<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  return results.map((r) => {
    if (r.status === 'rejected') throw r.reason;
    return r.value;
  });
}

/** In this thread, by the set's own `read`; images take turns. */
export const readHere =
  (dataset: Dataset, { replacement, place, to, wanted }: Manner, turns: Queue): ReadParts =>
  async (places, room) => {
    const { first, count, ids, labels, damaged } = places;
    const pack = packer(first, count, to, room);
    const one = async (slot: number): Promise<void> => {
      if (!wanted()) return;
      const found = (error: DamagedImage): void => void damaged[slot].push(error);
      const sample = await readOrReplace((index) => dataset.read(index), ids[slot], replacement, found);
      labels[slot] = sample.label;
      pack.add(slot, sample, place(ids[slot], sample));
    };
    await settled(slotsOf(places).map((slot) => turns(() => one(slot))));
    return pack.finish().parts;
  };

/** By threads, to the same parts. */
export const readThere = (
  { locate }: NonNullable<Reading['encoded']>,
  threads: ReadingThreads,
  told: ToldPlace,
  { replacement, to, wanted }: Manner,
): ReadParts => {
  /** Image `index` for each of the places; those that cannot be found are refused as if they could not be read. */
  const ask = async (
    { first, count, ids, labels }: Places,
    index: (slot: number) => number,
    room: Room,
  ): Promise<{ result: PartResult; errors: Map<number, Error> } | null> => {
    const errors = new Map<number, Error>();
    const images: PartJob['images'][number][] = [];
    for (let slot = first; slot < first + count; slot++) {
      try {
        const encoded = await locate(index(slot));
        labels[slot] = encoded.label;
        // Of a part of a larger array, the whole would be sent.
        const { source } = encoded;
        images.push({
          slot,
          id: ids[slot],
          encoded: source instanceof Uint8Array ? { ...encoded, source: source.slice() } : encoded,
        });
      } catch (error) {
        errors.set(slot, error as Error);
      }
    }
    const result = await threads.read({ first, count, images, place: told, to, room }, wanted);
    if (!result) return null;
    for (const { slot, why } of result.refused) errors.set(slot, errorOf(why));
    return { result, errors };
  };

  return async (places, room) => {
    const { ids, damaged } = places;
    const asked = await ask(places, (slot) => ids[slot], room);
    if (!asked) return [];
    const { result, errors } = asked;
    const { bytes, mid } = result.left;
    const share: Room = { bytes: bytes / errors.size, mid: mid / errors.size };
    const instead = async (slot: number): Promise<readonly Part[]> => {
      const again = async (index: number, attempt: number): Promise<readonly Part[]> => {
        if (attempt === 0) throw errors.get(slot);
        const one = await ask({ ...places, first: slot, count: 1 }, () => index, share);
        if (!one) return [];
        const error = one.errors.get(slot);
        if (error) throw error;
        return one.result.parts;
      };
      return readOrReplace(again, ids[slot], replacement, (error) => void damaged[slot].push(error));
    };
    const slots = [...errors.keys()].sort((a, b) => a - b);
    return [...result.parts, ...(await settled(slots.map(instead))).flat()];
  };
};
