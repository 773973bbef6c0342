// A bound on what work in progress takes together: whoever would pass it waits for its turn.

export class Budget {
  readonly #most: number;
  readonly #waiting: { amount: number; go: () => void }[] = [];
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Does the work once `amount` fits beside the rest, or alone where it fits beside nothing. First come, first served. */
  async within<T>(amount: number, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length || !this.#fits(amount)) {
      await new Promise<void>((go) => this.#waiting.push({ amount, go }));
    } else this.#taken += amount;
    try {
      return await work();
    } finally {
      this.#taken -= amount;
      for (let next = this.#waiting[0]; next && this.#fits(next.amount); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#taken += next.amount;
        next.go();
      }
    }
  }

  #fits(amount: number): boolean {
    return this.#taken === 0 || this.#taken + amount <= this.#most;
  }
}
