// What a run leaves in its output folder: logs that belong to a checkpoint to the byte, and checkpoints, of which the oldest numbered
// ones may go. A disk that fails costs a save, not the run.
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { FileError, makeFolder, removeFile, removeStrayTemporaries, writeFileAtomic } from '../../engine/node/files.ts';
import { appendLine, cutLog, durableLength } from '../../engine/node/logs.ts';
import { spanned } from '../../engine/timings.ts';
import type { RunFacts } from './facts.ts';
import { thisProcess } from './process.ts';
import { BEST, type Folder, LATEST, type RunJournal } from './setup.ts';
import { EventFile } from './tensorboard.ts';

const LOGS = ['log.txt', 'metrics.jsonl', 'damaged.txt'] as const;
type Log = (typeof LOGS)[number];
export const FACTS = 'run.json';
/** Of checkpoints all that rotation may ever delete. */
const NUMBERED = /^checkpoint-\d+\.safetensors$/;

interface JournalOptions {
  readonly output_dir: string;
  /** Newest numbered checkpoints that stay; 0: all. */
  readonly keep: number;
  /** Folder of TensorBoard's event files; none where it is missing. */
  readonly log_dir?: string;
  /** A run that begins takes the checkpoints of the one before away: to go on from these, or to show them, would be another run's. */
  readonly overwrite?: boolean;
  /** Weights that a run begins with; they stay, wherever they are. */
  readonly init?: string;
  readonly finetune?: string;
}

/** Of every log its bytes on the disk, and the lines that the disk had not taken. */
type Mark = Readonly<Record<Log, { readonly bytes: number; readonly waiting: readonly string[] }>>;

export class Journal implements RunJournal {
  readonly #options: JournalOptions;
  readonly #command: string;
  readonly #note: (line: string) => void;
  /** Lines that the disk did not take yet. */
  readonly #waiting: Record<Log, string[]> = { 'log.txt': [], 'metrics.jsonl': [], 'damaged.txt': [] };
  /** What the disk refused last time: that is told once. */
  readonly #failing = new Set<string>();
  #events: EventFile | null = null;
  #numbered: string[] = [];
  /** Lines and checkpoints that are on their way to the disk. */
  #writes = 0;
  #closed = false;

  /** @param command for errors */
  constructor(options: JournalOptions, command: string, note: (line: string) => void) {
    this.#options = options;
    this.#command = command;
    this.#note = note;
  }

  path(name: string): string {
    return join(this.#options.output_dir, name);
  }

  /** Makes the folder what it was when the run was saved, after `position` optimizer steps. */
  async open({ logs, numbered }: Partial<Folder>, position = 0): Promise<void> {
    await makeFolder(this.#options.output_dir, `${this.#command}: --output_dir`);
    await removeStrayTemporaries(this.#options.output_dir);
    for (const log of LOGS) {
      await cutLog(this.path(log), logs?.[log] ?? 0);
      this.#waiting[log].length = 0;
    }
    if (this.#options.overwrite && !Object.keys(logs ?? {}).length) await this.#removeOthers();
    this.#numbered = (numbered ?? []).filter((name) => NUMBERED.test(name));
    const { log_dir } = this.#options;
    if (log_dir !== undefined) this.#events = await EventFile.open(log_dir, position);
  }

  async #removeOthers(): Promise<void> {
    const { output_dir, init, finetune } = this.#options;
    // By whatever links they are called.
    const real = (path: string): Promise<string> => realpath(path).catch(() => resolve(path));
    const needed = await Promise.all([init, finetune].flatMap((path) => (path ? [real(path)] : [])));
    const names = (await readdir(output_dir)).filter((name) => [LATEST, BEST].includes(name) || NUMBERED.test(name));
    const places = await Promise.all(names.map((name) => real(this.path(name))));
    const others = names.filter((_, i) => !needed.some((place) => `${places[i]}${sep}`.startsWith(`${place}${sep}`)));
    for (const name of others) await removeFile(this.path(name));
    if (others.length)
      this.#note(`--overwrite: the run before is gone from ${output_dir}: ${others.sort().join(', ')}`);
  }

  get writing(): boolean {
    return this.#writes > 0;
  }

  /** Nothing is written once it is closed: whoever tries waits for good. */
  async #open<T>(write: () => Promise<T>): Promise<T> {
    if (this.#closed) return new Promise<never>(() => {});
    this.#writes++;
    try {
      return await write();
    } finally {
      this.#writes--;
    }
  }

  /** run.json: facts of this process. Where the disk refuses it, a note, and it is missing. */
  async facts(facts: RunFacts): Promise<void> {
    const here = { node: process.version, process: thisProcess() };
    try {
      await this.#open(() => writeFileAtomic(this.path(FACTS), `${JSON.stringify({ ...facts, ...here }, null, 1)}\n`));
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this.#note(`${error.message}; reports will lack it`);
    }
  }

  /** Where the logs stand, to come back to. */
  async mark(): Promise<Mark> {
    const mark = {} as Record<Log, { bytes: number; waiting: readonly string[] }>;
    for (const log of LOGS) mark[log] = { bytes: await lengthOf(this.path(log)), waiting: [...this.#waiting[log]] };
    return mark;
  }

  /** Makes the logs what they were at the mark. */
  async rewind(mark: Mark): Promise<void> {
    for (const log of LOGS) {
      await cutLog(this.path(log), mark[log].bytes);
      this.#waiting[log].splice(0, Number.POSITIVE_INFINITY, ...mark[log].waiting);
    }
  }

  /** One line of log.txt: an epoch. */
  epoch(line: Readonly<Record<string, number>>): Promise<void> {
    return this.#log('log.txt', JSON.stringify(line));
  }

  /** One line of metrics.jsonl: numbers of a step, or of an evaluation. */
  async metric(line: Readonly<Record<string, number>>): Promise<void> {
    await this.#log('metrics.jsonl', JSON.stringify(line));
    this.#events?.scalars(line.step, scalarsOf(line));
    await this.#open(() => this.#taken('log_dir', () => this.#events?.flush()));
  }

  /** One line of damaged.txt: an image that could not be decoded. */
  damaged(path: string, why: string): Promise<void> {
    return this.#log('damaged.txt', `${path}\t${why}`);
  }

  async damage(): Promise<{ known: string[]; where: string }> {
    const where = this.path('damaged.txt');
    const lines = (await readFile(where, 'utf8').catch(() => '')).split('\n').filter(Boolean);
    return { known: lines.map((line) => line.split('\t')[0]), where };
  }

  /**
   * A checkpoint, written by `write` into a file of this name, and the logs up to it. False, after a note, where the disk refused: the one
   * before is whole, and a later save may go better.
   * @throws FileError where it is the `final` one
   */
  async save(name: string, write: (path: string, folder: Folder) => Promise<void>, final = false): Promise<boolean> {
    try {
      await this.#open(() => this.#save(name, write));
      return true;
    } catch (error) {
      if (final || !(error instanceof FileError)) throw error;
      this.#note(`${error.message}; training goes on, the next save tries again`);
      return false;
    }
  }

  /**
   * A checkpoint of where the logs stood at the mark, in the middle of whatever the run does: the journal is closed.
   * @throws FileError
   */
  async saveLast(name: string, write: (path: string, folder: Folder) => Promise<void>, mark: Mark): Promise<void> {
    this.#closed = true;
    await this.rewind(mark);
    await this.#save(name, write);
  }

  async #save(name: string, write: (path: string, folder: Folder) => Promise<void>): Promise<void> {
    const logs: Record<string, number> = {};
    for (const log of LOGS) {
      await this.#flush(log);
      logs[log] = await durableLength(this.path(log));
    }
    const others = this.#numbered.filter((other) => other !== name);
    const numbered = NUMBERED.test(name) ? [...others, name] : others;
    await spanned('save', `save ${name}`, () => write(this.path(name), { logs, numbered }));
    this.#numbered = numbered;
    await this.#rotate(); // only now that the new one is on the disk
  }

  /** What cannot be deleted now is tried again at the next save. */
  async #rotate(): Promise<void> {
    const { keep } = this.#options;
    const old = keep ? this.#numbered.slice(0, -keep) : [];
    for (const name of old) {
      try {
        await removeFile(this.path(name));
        this.#numbered = this.#numbered.filter((other) => other !== name);
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        this.#note(`${error.message}; it stays for now`);
      }
    }
  }

  /** A line that the disk refuses waits for the next one: no log has a hole. */
  async #log(log: Log, line: string): Promise<void> {
    await this.#open(() => {
      this.#waiting[log].push(line);
      return this.#taken(log, () => this.#flush(log));
    });
  }

  async #taken(what: string, flush: () => Promise<void> | undefined): Promise<void> {
    try {
      await flush();
      this.#failing.delete(what);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      if (!this.#failing.has(what)) this.#note(`${error.message}; training goes on, its lines wait in memory`);
      this.#failing.add(what);
    }
  }

  async #flush(log: Log): Promise<void> {
    const lines = this.#waiting[log];
    if (!lines.length) return;
    await appendLine(this.path(log), lines.join('\n'), { durable: log === 'log.txt' });
    lines.length = 0;
  }
}

/** 0 where there is no such file. */
const lengthOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

/** Numbers of a line under the tags that facebookresearch/mae gives them. */
const scalarsOf = ({ step: _step, epoch: _epoch, loss, ...others }: Readonly<Record<string, number>>) =>
  loss === undefined ? others : { train_loss: loss, ...others };
