// What a long job tells whoever watches it; the command line draws a bar, a page could draw a chart.

export interface StepReport {
  readonly epoch: number;
  /** Optimizer steps since the beginning. */
  readonly step: number;
  readonly loss: number;
  readonly lr: number;
  readonly imagesPerSecond: number;
}

export interface Reporter {
  /** Bytes arriving, or images done: a fraction of the whole, of what, and how fast. */
  fetching(fraction: number, what: string, rate?: string): void;
  /** `total` steps, of which `done` were done before. */
  start(total: number, done: number): void;
  step(report: StepReport): void;
  /** A line worth reading. */
  note(line: string): void;
  /** A line on an evaluation; a note where this is left out. */
  judged?(line: string): void;
  finish(): void;
}

/** Tells nobody anything. */
export const silent: Reporter = { fetching() {}, start() {}, step() {}, note() {}, finish() {} };
