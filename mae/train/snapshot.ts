// When a run copies its state to the host, so that a lost device costs seconds of work and not an epoch.

/** Of a run's time, what copies may take. */
const SHARE = 0.01;
const LEAST_MS = 10_000;

/** Due when ten seconds have passed, or a hundred times what the last copy took. */
export class Snapshots {
  readonly #now: () => number;
  #last: number;
  #wait = LEAST_MS;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#last = now();
  }

  get due(): boolean {
    return this.#now() - this.#last >= this.#wait;
  }

  /** Times a copy. */
  async take<T>(copy: () => Promise<T>): Promise<T> {
    const began = this.#now();
    const copied = await copy();
    this.#last = this.#now();
    this.#wait = Math.max(LEAST_MS, (this.#last - began) / SHARE);
    return copied;
  }
}
