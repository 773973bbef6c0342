// What a training run is made from.
import type { Engine, InputTypes } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { Trainer } from '../../engine/trainer.ts';
import type { Dataset } from '../data/dataset.ts';
import type { PackTo } from '../data/pack.ts';
import type { TrainingState } from './checkpoint.ts';
import type { RunFacts } from './facts.ts';
import type { OptimizerState } from './modelfile.ts';
import type { Reporter } from './reporter.ts';
import type { Smaller } from './room.ts';
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

/** The names of a run's checkpoints: of the newest, and of the best. */
export const LATEST = 'checkpoint.safetensors';
export const BEST = 'checkpoint-best.safetensors';

/** What a checkpoint keeps of its folder. */
export interface Folder {
  /** Bytes of each log that belong to it. */
  readonly logs: Readonly<Record<string, number>>;
  /** Names of the numbered checkpoints of this run that are there, oldest first. */
  readonly numbered: readonly string[];
}

/** Where a run's numbers and checkpoints go: journal.ts on a disk; a page shows them. */
export interface RunJournal {
  /** Makes the folder what it was when the run was saved, after `position` optimizer steps. */
  open(folder: Partial<Folder>, position: number): Promise<void>;
  /** Of this process. */
  facts(facts: RunFacts): Promise<void>;
  /** Numbers of a step, or of an evaluation. */
  metric(line: Readonly<Record<string, number>>): Promise<void>;
  /** Numbers of an epoch. */
  epoch(line: Readonly<Record<string, number>>): Promise<void>;
  /** An image that could not be decoded: its path and why. */
  damaged(path: string, why: string): Promise<void>;
  /** Those of before, and where they can be read. */
  damage(): Promise<{ readonly known: readonly string[]; readonly where: string }>;
  /** Where the logs stand, to come back to. */
  mark(): Promise<unknown>;
  rewind(mark: unknown): Promise<void>;
  /** Whether something is on its way to where it is kept. */
  readonly writing: boolean;
  path(name: string): string;
  /** False where it could not be kept, unless that is the `final` one, which throws. */
  save(name: string, write: (path: string, folder: Folder) => Promise<void>, final?: boolean): Promise<boolean>;
  /** As the logs stood at the mark, in the middle of whatever the run does: nothing is written after it. */
  saveLast(name: string, write: (path: string, folder: Folder) => Promise<void>, mark: unknown): Promise<void>;
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
  /** Optimizer steps since the beginning of the run. */
  readonly position: number;
  /** Where the logs stood. */
  readonly mark: unknown;
  readonly pace: Pace;
  /** Steps before `position` that were left out on the way here. */
  readonly leftOut?: number;
}

/** Where a run begins, and who hears of it. */
export interface Beginning<C> {
  /** The same for all of a run's attempts. */
  readonly journal: RunJournal;
  readonly report: Reporter;
  /** null: it goes on from nothing. */
  readonly from: C | null;
  /** Of this process, where `from` is its checkpoint. */
  readonly kept: Kept<C> | null;
  /** Asks the run to save and to end after the step that it is at. */
  readonly stop?: AbortSignal;
  /** Awaited before every update, which then sees what it has changed: a run pauses there. Its time is not the run's. */
  readonly between?: () => Promise<void>;
  /** How passes are made smaller where it is not by flags. */
  readonly smaller?: Smaller;
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
  /** How who began it makes passes smaller. */
  readonly smaller: Smaller;
  /** Peak learning rate. */
  readonly lr: number;
  /** What decides its numbers, kept in checkpoints. */
  readonly recipe: Readonly<Record<string, unknown>>;
}

/** @throws where the data makes no step, or is not what the run began with */
export function refuseUnfit<I extends InputTypes, C extends Checkpointed>(setup: RunSetup<I, C>): void {
  const { command, train, updates, from } = setup;
  if (updates.count < 1) {
    fail(
      `${command}: ${train.length} images are fewer than batch_size x accum_iter = ${updates.full}; lower --batch_size`,
    );
  }
  const { images = train.length } = from?.training ?? {};
  // The order of samples depends on how many there are.
  if (images !== train.length) {
    fail(
      `resume: the data has ${train.length} images, the run began with ${images}; put them back, or start a new run`,
    );
  }
}
