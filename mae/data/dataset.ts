// What training asks of a set of images: how many, what they are called, and their decoded bytes one by one.
import type { PartJob, PartResult } from './part.ts';

/** One decoded image. */
export interface Sample {
  /** (height, width, channels) bytes, channels interleaved. */
  readonly data: Uint8Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Index into the set's classes; -1 where it has none. */
  readonly label: number;
}

/** An image that is still to be decoded: where it lies, what it is called in messages. */
export interface Encoded {
  readonly name: string;
  /** Its file, its place in one, or its bytes. */
  readonly source: string | { readonly path: string; readonly offset: number; readonly size: number } | Uint8Array;
  readonly label: number;
  /** What colours become; three where not given. */
  readonly channels?: number;
}

/** Reads one image. Fails with a message that names the file; with a `DamagedImage` where it is the file's fault. */
export interface Reading {
  (index: number): Promise<Sample>;
  /** Of a set whose images are decoded, and threads that can do it: read(i) is what they make of locate(i). */
  readonly encoded?: {
    readonly locate: (index: number) => Promise<Encoded>;
    /** At most `count` threads, or as many as suit the machine, for so many images; null where this thread had better do it. */
    readonly threads: (count: number | undefined, images: number) => Promise<ReadingThreads | null>;
  };
}

/** Threads that read, crop and pack images. */
export interface ReadingThreads {
  /** Once it is this job's turn and it is still `wanted` (else null). What cannot be read is told of and leaves a hole. */
  read(job: PartJob, wanted: () => boolean): Promise<PartResult | null>;
}

/** Images by number, wherever they lie. */
export interface Dataset {
  readonly name: string;
  readonly length: number;
  /** null: unlabelled. */
  readonly classes: readonly string[] | null;
  readonly channels: number;
  /** Per channel, of values in [0, 1]. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Lines on what was found and not taken, for whoever begins something long with the set. */
  readonly remarks?: readonly string[];
  readonly read: Reading;
  /** The class, without reading the image; absent where reading is the only way to know. */
  label?(index: number): number;
  /** What a person would call the image; absent where it has no name of its own. */
  title?(index: number): string;
  /** The file within its folder, or the key within its shard; absent where images have numbers only. */
  id?(index: number): string;
}

/** Per channel (red, green, blue), of values in [0, 1]. */
export const IMAGENET_MEAN = [0.485, 0.456, 0.406] as const;
/** Standard deviation of the same. */
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
    read: readingOf(set, at),
    label: label && ((index) => label(at(index))),
    title: title && ((index) => title(at(index))),
    id: id && ((index) => id(at(index))),
  };
}

/** The set's reading of `at(index)`. */
function readingOf(set: Dataset, at: (index: number) => number): Reading {
  const read = (index: number): Promise<Sample> => set.read(at(index));
  const { encoded } = set.read;
  return encoded
    ? Object.assign(read, { encoded: { ...encoded, locate: (i: number) => encoded.locate(at(i)) } })
    : read;
}
