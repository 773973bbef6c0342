// How an epoch is cut: its images into updates, and the images of an update into micro-batches that the device has room for.
import { splitBatch } from '../../engine/fit.ts';

export interface Cutting {
  /** In the training set. */
  readonly images: number;
  /** Images of a pass, and passes of an update, as the flags say. */
  readonly batch_size: number;
  readonly accum_iter: number;
  /** Leave out what does not fill an update, as the reference's DataLoader does; else it makes a last, smaller one. */
  readonly drop_last: boolean;
  /** Most images of a micro-batch; a pass is cut where it has more. Default: batch_size. */
  readonly micro_batch?: number;
  /** Micro-batches must be even, because images are mixed in pairs: an odd one at the end is left out. */
  readonly even?: boolean;
}

/** Every update averages over its images: a micro-batch counts by its size, so that how a pass is cut changes roundings only. */
export class Updates {
  readonly micro_batch: number;
  /** Updates in an epoch. */
  readonly count: number;
  /** Images of a full update. */
  readonly full: number;
  /** Images that an epoch sees. */
  readonly images: number;
  readonly #whole: readonly number[];
  readonly #last: readonly number[];

  constructor({ images, batch_size, accum_iter, drop_last, micro_batch = batch_size, even = false }: Cutting) {
    const pass = splitBatch(batch_size, micro_batch);
    this.micro_batch = micro_batch;
    this.full = batch_size * accum_iter;
    this.#whole = Array.from({ length: accum_iter }, () => pass).flat();
    const fulls = Math.floor(images / this.full);
    const over = images - fulls * this.full;
    const left = drop_last ? 0 : even ? over - (over % 2) : over;
    // As many as there can be of the size that the device knows already.
    this.#last = left
      ? [...new Array(Math.floor(left / pass[0])).fill(pass[0]), ...(left % pass[0] ? [left % pass[0]] : [])]
      : this.#whole;
    this.count = fulls + (left ? 1 : 0);
    this.images = fulls * this.full + left;
  }

  /** Sizes of the micro-batches of an update, from 0. */
  parts(step: number): readonly number[] {
    return step === this.count - 1 ? this.#last : this.#whole;
  }

  /** Images of an update. */
  size(step: number): number {
    return this.parts(step).reduce((sum, n) => sum + n, 0);
  }

  /** The first micro-batch of an update, counted from the beginning of the epoch. */
  firstPart(step: number): number {
    return step * this.#whole.length;
  }

  /** Where every micro-batch of an epoch begins, and where the last one ends. */
  places(): number[] {
    const places = [0];
    for (let step = 0; step < this.count; step++)
      for (const size of this.parts(step)) places.push((places.at(-1) as number) + size);
    return places;
  }
}
