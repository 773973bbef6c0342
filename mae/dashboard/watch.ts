// Runs that are watched together: while anyone looks, what is new in them goes to all who do.
import { type Parting, parting, type RunLog, sharedMetrics, verdict } from '../compare.ts';
import { RunFollower } from './follow.ts';
import type { Comparison, Message, PictureFile, Run } from './wire.ts';

/** Between two looks at the files. */
const EVERY_MS = 1000;
/** Looks between two for new runs. */
const MORE_EVERY = 5;
/** Part of a value up to which two runs count as together, as in `tesserae compare`. */
const WITHIN = 0.02;

type Listener = (message: Message) => void;

export class Watch {
  readonly #runs: RunFollower[] = [];
  readonly #more: () => Promise<readonly string[]>;
  #looks = 0;
  readonly #listeners = new Set<Listener>();
  /** One look at a time: what a late one found would be told out of order. */
  #looking: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;

  /** @param more asked now and then for runs, of which those that are new join the others */
  constructor(paths: readonly string[], more: () => Promise<readonly string[]> = async () => []) {
    this.#more = more;
    this.#take(paths);
  }

  /** @returns whether any is new */
  #take(paths: readonly string[]): boolean {
    const known = new Set(this.#runs.map(({ path }) => path));
    for (const path of paths) if (!known.has(path)) this.#runs.push(new RunFollower(this.#runs.length, path));
    return this.#runs.length > known.size;
  }

  /** Tells everything at once, then what is new. @returns what ends that */
  async listen(listener: Listener): Promise<() => void> {
    await this.look();
    listener({ event: 'all', data: this.runs });
    listener({ event: 'comparison', data: comparisonOf(this.runs) });
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => void this.look(), EVERY_MS).unref();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size || !this.#timer) return;
      clearInterval(this.#timer);
      this.#timer = null;
    };
  }

  get runs(): Run[] {
    return this.#runs.map(({ run }) => run);
  }

  /** As of the last look. */
  picturesOf(id: number): readonly PictureFile[] {
    return this.#runs[id]?.pictures ?? [];
  }

  path(id: number): string | undefined {
    return this.#runs[id]?.path;
  }

  /** Looks at all files now. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  /** A last look, and a farewell. */
  async end(): Promise<void> {
    await this.look();
    this.#tell({ event: 'bye', data: {} });
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
  }

  async #look(): Promise<void> {
    const joined = this.#looks++ % MORE_EVERY === 0 && this.#take(await this.#more());
    const found = await Promise.all(this.#runs.map((run) => run.look()));
    const news = found.flatMap((messages) => messages ?? []);
    const again = joined || found.includes(null);
    if (again) this.#tell({ event: 'all', data: this.runs });
    else for (const message of news) this.#tell(message);
    const epochs = news.some(({ event, data }) => event === 'lines' && data.epochs.length > 0);
    if (again || epochs) this.#tell({ event: 'comparison', data: comparisonOf(this.runs) });
  }

  #tell(message: Message): void {
    for (const listener of this.#listeners) listener(message);
  }
}

/** Every other run against the first. */
function comparisonOf(runs: readonly Run[]): Comparison[] {
  const logs = runs.map(({ name, epochs }): RunLog => ({ name, lines: epochs.filter((line) => 'epoch' in line) }));
  const [first, ...others] = logs;
  const metrics = sharedMetrics(logs);
  return others.map((other, i) => ({
    id: runs[i + 1].id,
    rows: metrics.flatMap((metric) => {
      const found: Parting | null = parting(first, other, metric, WITHIN);
      if (!found) return [];
      const { a, b, from, better } = found;
      return [{ metric, a, b, from, better, verdict: verdict(found, WITHIN) }];
    }),
  }));
}
