// A run as the page knows it: what the server told at first, and all that came after.
import type { Run, Standing } from '../../dashboard/wire.ts';
import type { Line } from '../../report/lines.ts';
import type { Course } from '../../report/say.ts';
import { Series } from '../parts/series.ts';

const PLACES = ['step', 'epoch'];

export class LiveRun implements Course {
  readonly id: number;
  readonly path: string;
  /** Its folder's; with its number where two runs have folders of one name. */
  readonly name: string;
  epochs: Line[] = [];
  readonly metrics: Record<string, Series> = {};
  standing: Standing;

  constructor(run: Run, others: readonly Run[]) {
    this.id = run.id;
    this.path = run.path;
    const twin = others.some(({ id, name }) => id < run.id && name === run.name);
    this.name = twin ? `${run.name} (${run.id + 1})` : run.name;
    this.standing = run;
    this.take(run);
  }

  get facts() {
    return this.standing.facts;
  }

  /** All of it anew. */
  take({ epochs, metrics, ...standing }: Run): void {
    this.epochs = [...epochs];
    for (const name of Object.keys(this.metrics)) if (!(name in metrics)) delete this.metrics[name];
    for (const [name, data] of Object.entries(metrics)) this.#series(name).take(data);
    this.standing = standing;
  }

  /** Lines further on. @param told every point */
  add(
    metrics: readonly Line[],
    epochs: readonly Line[],
    told: (metric: string, step: number, value: number) => void,
  ): void {
    this.epochs.push(...epochs);
    for (const line of metrics) {
      const { step } = line;
      if (step === undefined) continue;
      for (const [name, value] of Object.entries(line)) {
        if (PLACES.includes(name)) continue;
        this.#series(name).append(step, value);
        told(name, step, value);
      }
    }
  }

  #series(name: string): Series {
    this.metrics[name] ??= new Series();
    return this.metrics[name];
  }
}
