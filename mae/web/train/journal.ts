// A run's numbers on their way to the tab. Nothing is kept here, so that a run may be as long as it likes; its checkpoints stay with the run.
import type { RunFacts } from '../../train/facts.ts';
import type { RunJournal } from '../../train/setup.ts';
import type { News, Stepped } from './messages.ts';

/** Steps may be a few ms long: the tab is told ten times a second. */
const EVERY_MS = 100;
/** Speed is that of the last seconds. */
const RECENT_MS = 5000;

interface JournalOptions {
  readonly tell: (news: News) => void;
  readonly bytes: () => number;
  /** Images of a full step. */
  readonly batch: number;
}

export class PageJournal implements RunJournal {
  readonly writing = false;
  readonly #options: JournalOptions;
  #steps: Stepped[] = [];
  #told = 0;
  #last = 0;
  /** Time that was not the run's. */
  #idle = 0;
  #recent: number[] = [];

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** So long, in ms, the run waited. */
  waited(ms: number): void {
    this.#idle += ms;
  }

  /** The run begins after `position` steps, perhaps once more. */
  async open(_: unknown, position: number): Promise<void> {
    if (this.#last > position) await this.rewind(position);
    this.#last = position;
  }

  async epoch(): Promise<void> {}
  async damaged(): Promise<void> {}
  async damage(): Promise<{ known: string[]; where: string }> {
    return { known: [], where: 'the notes' };
  }
  path = (name: string): string => name;
  async save(): Promise<boolean> {
    return true;
  }
  async saveLast(): Promise<void> {}

  async facts({ step }: RunFacts): Promise<void> {
    if (!step) return;
    const { kernels, byWaiting, gpuBytes: bytes } = step;
    this.#options.tell({ kind: 'kernels', kernels, byWaiting, bytes });
  }

  async metric(line: Readonly<Record<string, number>>): Promise<void> {
    const { step, epoch, loss, lr, heldout_loss } = line;
    if (heldout_loss !== undefined) {
      this.flush();
      this.#options.tell({ kind: 'heldout', step, loss: heldout_loss });
    }
    if (loss === undefined) return;
    this.#last = step;
    this.#steps.push({ step, epoch, loss, lr });
    const now = performance.now();
    this.#recent.push(now - this.#idle);
    while (this.#recent.length > 2 && this.#recent[0] < now - this.#idle - RECENT_MS) this.#recent.shift();
    if (now - this.#told >= EVERY_MS) this.flush();
  }

  /** Tells what has not been told. */
  flush(): void {
    this.#told = performance.now();
    if (!this.#steps.length) return;
    const { tell, bytes } = this.#options;
    tell({ kind: 'steps', steps: this.#steps, imagesPerSecond: this.#speed(), bytes: bytes() });
    this.#steps = [];
  }

  #speed(): number {
    const steps = this.#recent.length - 1;
    const ms = this.#recent[steps] - this.#recent[0];
    return ms > 0 ? (1000 * this.#options.batch * steps) / ms : 0;
  }

  /** The last step that was told. */
  async mark(): Promise<number> {
    return this.#last;
  }

  async rewind(mark: number): Promise<void> {
    this.#steps = [];
    this.#recent = [];
    this.#last = mark;
    this.#options.tell({ kind: 'rewound', step: mark });
  }
}
