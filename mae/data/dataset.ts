// What training asks of a set of images: how many, what they are called, and their decoded bytes one by one.

export interface Sample {
  /** (height, width, channels) bytes, channels interleaved. */
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Index into the set's classes; -1 where it has none. */
  readonly label: number;
}

export interface Dataset {
  readonly name: string;
  readonly length: number;
  /** null: unlabelled. */
  readonly classes: readonly string[] | null;
  readonly channels: number;
  /** Per channel, of values in [0, 1]. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Fails with a message that names the file. */
  read(index: number): Promise<Sample>;
}

export const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
export const IMAGENET_STD = [0.229, 0.224, 0.225] as const;

/** `count` images of a set from `first` on. */
export function part(set: Dataset, first: number, count: number): Dataset {
  return { ...set, length: count, read: (index) => set.read(first + index) };
}

/** `count` images of a set, evenly taken: of a folder, which lists one class after the other, as many of each. */
export function evenly(set: Dataset, count: number): Dataset {
  return { ...set, length: count, read: (index) => set.read(Math.floor((index * set.length) / count)) };
}
