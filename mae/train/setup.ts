// What a training run is made from.
import type { Engine, InputTypes } from '../../engine/engine.ts';
import type { Trainer } from '../../engine/trainer.ts';
import type { Dataset } from '../data/dataset.ts';
import type { PackTo } from '../data/pack.ts';
import type { TrainingState } from './checkpoint.ts';
import type { Journal, Mark } from './journal.ts';
import type { OptimizerState } from './modelfile.ts';
import type { Reporter } from './reporter.ts';
import type { Schedule } from './schedule.ts';
import type { Updates } from './updates.ts';

export interface RunOptions extends Omit<Schedule, 'lr' | 'sched'> {
  readonly output_dir: string;
  readonly log_dir?: string;
  readonly seed: number;
  readonly batch_size: number;
  readonly accum_iter: number;
  readonly max_steps?: number;
  readonly num_workers: number;
  readonly save_steps: number;
  readonly save_freq: number;
  readonly keep: number;
  readonly sched: string;
  readonly patience: number;
}

/** What a run needs of a checkpoint; commands keep more in theirs. */
export interface Checkpointed {
  readonly weights: ReadonlyMap<string, Float32Array>;
  readonly training: TrainingState | null;
  readonly optimizer: OptimizerState | null;
}

/** How far a process has come. */
export interface Pace {
  /** Optimizer steps, and images in them. */
  done: number;
  images: number;
  /** When the first of them began, in ms. */
  started: number;
}

/** A run's state on the host, to go on from where the device, or what is on it, is no good any more. */
export interface Kept<C> {
  readonly checkpoint: C;
  readonly journal: Journal;
  /** Optimizer steps since the beginning of the run. */
  readonly position: number;
  /** Where the logs stood. */
  readonly mark: Mark;
  readonly pace: Pace;
  /** Steps before `position` that were left out on the way here. */
  readonly leftOut?: number;
}

/** Where a run begins, and who hears of it. */
export interface Beginning<C> {
  readonly report: Reporter;
  /** null: it goes on from nothing. */
  readonly from: C | null;
  /** Of this process, where `from` is its checkpoint. */
  readonly kept: Kept<C> | null;
  /** Asks the run to save and to end after the step that it is at. */
  readonly stop?: AbortSignal;
}

/** What a run begins with. */
export interface RunSetup<I extends InputTypes, C extends Checkpointed> extends Beginning<C> {
  readonly engine: Engine;
  readonly options: RunOptions;
  /** The command, for errors. */
  readonly command: string;
  readonly train: Dataset;
  readonly output: PackTo;
  readonly trainer: Trainer<I>;
  readonly updates: Updates;
  /** Bytes on the device by the plan, of micro-batches of so many images. */
  readonly peak: (images: number) => number;
  /** Whether it takes --memory, and cuts its passes by it. */
  readonly cuts: boolean;
  /** Peak learning rate. */
  readonly lr: number;
  /** What decides its numbers, kept in checkpoints. */
  readonly recipe: Readonly<Record<string, unknown>>;
}
