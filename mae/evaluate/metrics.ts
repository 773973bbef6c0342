// How good a classification is: top-1, top-5, loss averaged over images, and what was taken for what.

export interface Metrics {
  /** Per cent of images. */
  readonly top1: number;
  readonly top5: number;
  /** Mean cross-entropy over images. */
  readonly loss: number;
  /** (classes, classes): [true][predicted], counts */
  readonly confusion: readonly Int32Array[];
  readonly images: number;
}

/** Sums up batches of any size, so that every image counts the same (not every batch). */
export class Tally {
  readonly #confusion: Int32Array[];
  readonly #classes: number;
  #images = 0;
  #first = 0;
  #five = 0;
  #loss = 0;

  constructor(classes: number) {
    this.#classes = classes;
    this.#confusion = Array.from({ length: classes }, () => new Int32Array(classes));
  }

  /** logits (labels, classes); images without a label are left out. Equal logits: the lower class number goes first. */
  add(logits: ArrayLike<number>, labels: ArrayLike<number>): void {
    const K = this.#classes;
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i];
      if (label < 0) continue;
      const own = logits[i * K + label];
      let [before, best, high] = [0, 0, Number.NEGATIVE_INFINITY];
      for (let k = 0; k < K; k++) {
        const z = logits[i * K + k];
        if (z > own || (z === own && k < label)) before++;
        if (z > high) [best, high] = [k, z];
      }
      let sum = 0;
      for (let k = 0; k < K; k++) sum += Math.exp(logits[i * K + k] - high);
      this.#loss += high + Math.log(sum) - own;
      this.#first += Number(before === 0);
      this.#five += Number(before < 5);
      this.#confusion[label][best]++;
      this.#images++;
    }
  }

  get metrics(): Metrics {
    const n = this.#images;
    return {
      top1: (100 * this.#first) / n,
      top5: (100 * this.#five) / n,
      loss: this.#loss / n,
      confusion: this.#confusion,
      images: n,
    };
  }
}
