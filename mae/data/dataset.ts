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
  /** Fails with a message that names the file; a `DamagedImage` where it is the file's fault. */
  read(index: number): Promise<Sample>;
  /** The class, without reading the image; absent where reading is the only way to know. */
  label?(index: number): number;
  /** What a person would call the image; absent where it has no name of its own. */
  title?(index: number): string;
  /** The file within its folder, or the key within its shard; absent where images have numbers only. */
  id?(index: number): string;
}

export const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
export const IMAGENET_STD = [0.229, 0.224, 0.225] as const;

/** `count` images of a set from `first` on. */
export const part = (set: Dataset, first: number, count: number): Dataset => mapped(set, count, (i) => first + i);

/** `count` images of a set, evenly taken: of a folder, which lists one class after the other, as many of each. */
export const evenly = (set: Dataset, count: number): Dataset => pick(set, evenPlaces(set.length, count));

/** `count` indices below `length`, evenly apart. */
export const evenPlaces = (length: number, count: number): Uint32Array =>
  Uint32Array.from({ length: count }, (_, i) => Math.floor((i * length) / count));

/** The images of these indices, in their order. */
export const pick = (set: Dataset, indices: Uint32Array): Dataset => mapped(set, indices.length, (i) => indices[i]);

/** `length` images, of which the i-th is the set's `at(i)`-th. */
function mapped(set: Dataset, length: number, at: (index: number) => number): Dataset {
  const { label, title, id } = set;
  return {
    ...set,
    length,
    read: (index) => set.read(at(index)),
    label: label && ((index) => label(at(index))),
    title: title && ((index) => title(at(index))),
    id: id && ((index) => id(at(index))),
  };
}
