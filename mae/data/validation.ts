// A validation split for sets that have none: --val_fraction of the images, as many of each class, by --val_seed alone.
import { fail } from '../../engine/errors.ts';
import { type Dataset, pick } from './dataset.ts';
import { draw, STREAM } from './streams.ts';

export interface Split {
  /** Of the images, how many are kept back. */
  readonly val_fraction: number;
  readonly val_seed: number;
}

/** What is asked for; what is not is as it was in the checkpoint's run, else a tenth. */
export interface SplitRequest {
  readonly asked?: Partial<Split>;
  /** Of a checkpoint; null in it means that nothing was asked for. */
  readonly recipe?: Readonly<Record<string, unknown>>;
}

export function splitWanted({ asked = {}, recipe = {} }: SplitRequest): Split {
  const before = recipe as { readonly val_fraction?: number | null; readonly val_seed?: number | null };
  return {
    val_fraction: asked.val_fraction ?? before.val_fraction ?? 0.1,
    val_seed: asked.val_seed ?? before.val_seed ?? 0,
  };
}

/** @throws where a set that has validation images is to be divided */
export function refuseSecond(path: string, val: Dataset | null, { val_fraction }: Partial<Split>): void {
  if (val?.length && val_fraction !== undefined)
    fail(`--val_fraction ${val_fraction}: ${path} has ${val.length} validation images already: leave it out`);
}

/**
 * Divides a set in two, each in the set's order. Within a class images are drawn at random; every class gives its share, rounded up or down. Where
 * classes are not known without reading the images, all count as one class.
 * @throws where one of the two would be empty
 */
export function splitOff(set: Dataset, { val_fraction, val_seed }: Split): { train: Dataset; val: Dataset } {
  const keys = Array.from({ length: set.length }, (_, index) => {
    const [high, low] = draw(val_seed, STREAM.split, 0, index);
    return { index, label: set.label?.(index) ?? -1, key: high * 2 ** 21 + (low >>> 11) };
  });
  keys.sort((a, b) => a.label - b.label || a.key - b.key || a.index - b.index);
  // Through all classes in turn: a share that one class is short of is the next one's.
  const kept = keys.map((_, place) => Math.floor((place + 1) * val_fraction) > Math.floor(place * val_fraction));
  const of = (which: boolean): Dataset =>
    pick(
      set,
      Uint32Array.from(
        keys.filter((_, place) => kept[place] === which),
        ({ index }) => index,
      ).sort(),
    );
  const [train, val] = [of(false), of(true)];
  if (!train.length || !val.length) {
    fail(
      `--val_fraction ${val_fraction} of ${set.length} images (${set.name}) keeps ${val.length} back and leaves ${train.length} to train on: ` +
        'both must have some',
    );
  }
  return { train, val: { ...val, name: `${set.name}, validation` } };
}
