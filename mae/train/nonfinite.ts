// Steps whose loss or gradients are no numbers. The device has skipped them; here it is told where they come from, and when to go back.
import type { InputTypes } from '../../engine/engine.ts';
import { TesseraeError } from '../../engine/errors.ts';
import type { BatchSource, Trainer } from '../../engine/trainer.ts';
import type { Dataset } from '../data/dataset.ts';
import { type Found, firstNonFinite } from './diagnose.ts';
import { notFinite } from './overflow.ts';

/** Skipped steps after which weights that are finite are no good either. */
const MOST_IN_ROW = 3;
/** Images that a line names. */
const NAMED = 6;

/** What the device holds leads nowhere. Its message is for where there is nothing to go back to. */
export class Ruined extends TesseraeError {
  readonly what: string;
  /** Optimizer steps since the beginning: what lies between the last good state and these is not to be done again. */
  readonly upTo: number;

  constructor(what: string, upTo: number, remedy = '') {
    super(`${what}${remedy}`);
    [this.what, this.upTo] = [what, upTo];
  }
}

/** A step that was skipped, and how to compute it again. */
export interface Skipped<I extends InputTypes> {
  /** Optimizer steps since the beginning, this one included. */
  readonly position: number;
  readonly loss: number;
  readonly ids: readonly number[];
  readonly sources: readonly BatchSource<I>[];
  /** Of the micro-batches in the average. */
  readonly weights: readonly number[];
}

export class NonFinite<I extends InputTypes> {
  readonly #trainer: Trainer<I>;
  readonly #train: Dataset;
  readonly #note: (line: string) => void;
  #skipped = 0;
  #inRow = 0;
  #found: Found | null = null;

  constructor(trainer: Trainer<I>, train: Dataset, note: (line: string) => void) {
    this.#trainer = trainer;
    this.#train = train;
    this.#note = note;
  }

  /** Whether a step was skipped, or should have been. `skipped`: how many were so far; undefined where the loss scale skips its share. */
  is(loss: number, skipped: number | undefined): boolean {
    const more = skipped !== undefined && skipped > this.#skipped;
    this.#skipped = skipped ?? 0;
    const bad = more || !Number.isFinite(loss);
    if (!bad) this.#inRow = 0;
    return bad;
  }

  /** @throws Ruined where weights or moments are not finite, or after three in a row */
  async meet(step: Skipped<I>): Promise<void> {
    const { position, loss, sources, weights } = step;
    if (++this.#inRow === 1) this.#found = await firstNonFinite(this.#trainer, sources, weights);
    const found = this.#found;
    const what = Number.isFinite(loss) ? `the loss is ${loss}, its gradients are not finite` : `the loss is ${loss}`;
    const from = found
      ? `the first tensor that is not finite is ${found.name}`
      : 'computed again, it is finite: a fault of the machine, perhaps';
    const said = `step ${position}: ${what}; ${from}; its images are ${this.#images(step.ids)}`;
    if (found?.stays || this.#inRow >= MOST_IN_ROW) {
      const many = this.#inRow > 1 ? ` (${this.#inRow} steps in a row)` : '';
      const message = await notFinite(this.#trainer.engine, this.#trainer.optimizer, `${said}${many}`);
      throw new Ruined(`${said}${many}`, position, message.slice(said.length + many.length));
    }
    if (this.#inRow === 1) this.#note(`${said}; this step is left out`);
  }

  #images(ids: readonly number[]): string {
    const names = ids.slice(0, NAMED).map((id) => this.#train.id?.(id) ?? `number ${id}`);
    return `${names.join(', ')}${ids.length > NAMED ? ` and ${ids.length - NAMED} more` : ''}`;
  }
}
