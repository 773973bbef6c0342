// A bound on what work in progress takes together, in all threads that share its memory: whoever would pass it waits for its turn.

/** Words of the shared memory: the next ticket, the one whose turn it is, what is taken. */
const [NEXT, TURN, TAKEN] = [0, 1, 2];

/** To be shared by the budgets of several threads. */
export const budgetMemory = (): SharedArrayBuffer => new SharedArrayBuffer(12);

export class Budget {
  readonly #most: number;
  readonly #words: Int32Array;

  /** @param most below 2^30 */
  constructor(most: number, memory: SharedArrayBuffer = budgetMemory()) {
    this.#most = most;
    this.#words = new Int32Array(memory);
  }

  /** Does the work once `amount` fits beside the rest, or alone where it fits beside nothing. First come, first served. */
  async within<T>(amount: number, work: () => Promise<T>): Promise<T> {
    const words = this.#words;
    const wanted = Math.min(amount, this.#most + 1);
    const ticket = Atomics.add(words, NEXT, 1);
    for (let turn = Atomics.load(words, TURN); turn !== ticket; turn = Atomics.load(words, TURN))
      await changed(words, TURN, turn);
    for (
      let taken = Atomics.load(words, TAKEN);
      taken && taken + wanted > this.#most;
      taken = Atomics.load(words, TAKEN)
    )
      await changed(words, TAKEN, taken);
    Atomics.add(words, TAKEN, wanted);
    advance(words, TURN, 1);
    try {
      return await work();
    } finally {
      advance(words, TAKEN, -wanted);
    }
  }
}

function advance(words: Int32Array, place: number, by: number): void {
  Atomics.add(words, place, by);
  Atomics.notify(words, place);
}

/** Once the word is no longer `value`. */
async function changed(words: Int32Array, place: number, value: number): Promise<void> {
  await Atomics.waitAsync(words, place, value).value;
}
