// What the dashboard's server tells its page: events of one stream, each of JSON.
import type { Parting } from '../compare.ts';
import type { Line } from '../report/lines.ts';
import type { RunFacts } from '../train/facts.ts';
import type { SeriesData } from '../web/parts/series.ts';

/**
 * waiting: nothing was trained yet; running; finished: all that was asked for; stopped: its process is gone before that;
 * unknown: it runs, or ran, on another machine, or was begun by an older version.
 */
export type State = 'waiting' | 'running' | 'finished' | 'stopped' | 'unknown';

export interface PictureFile {
  /** Of its file. */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** Changes where the file does. */
  readonly version: string;
}

/** All but the logs. */
export interface Standing {
  readonly state: State;
  /** When a log was last written, in ms since 1970; null before, and while it runs. */
  readonly heard: number | null;
  readonly facts: RunFacts | null;
  /** original, masked, then epochs in order. */
  readonly pictures: readonly PictureFile[];
  /** What cannot be read, in words. */
  readonly problems: readonly string[];
}

export interface Run extends Standing {
  /** In the order in which they were named. */
  readonly id: number;
  readonly name: string;
  readonly path: string;
  /** log.txt: one line an epoch. */
  readonly epochs: readonly Line[];
  /** metrics.jsonl by metric and optimizer step. */
  readonly metrics: Readonly<Record<string, SeriesData>>;
}

/** How a run stands to the first one, by what both logged of their epochs. */
export interface Comparison {
  readonly id: number;
  readonly rows: readonly (Pick<Parting, 'metric' | 'a' | 'b' | 'from' | 'better'> & { readonly verdict: string })[];
}

export interface Events {
  /** Everything: at the beginning, after a loss of the connection, and where a log became another. */
  all: readonly Run[];
  /** Lines further on. */
  lines: { readonly id: number; readonly metrics: readonly Line[]; readonly epochs: readonly Line[] };
  standing: { readonly id: number } & Standing;
  comparison: readonly Comparison[];
  /** The command that serves has done its work, and goes. */
  bye: Record<never, never>;
}

export type Message = { [K in keyof Events]: { readonly event: K; readonly data: Events[K] } }[keyof Events];
