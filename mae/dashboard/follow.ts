// A run's folder as it grows: its logs line by line, its facts and pictures, and whether the run still lives.
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { epochsDone, type Line } from '../report/lines.ts';
import { Metrics } from '../report/metrics.ts';
import { parseFacts } from '../report/runfacts.ts';
import type { RunFacts } from '../train/facts.ts';
import { FACTS } from '../train/journal.ts';
import { isAlive } from '../train/process.ts';
import { PICTURES, pictureEpoch } from '../train/progress-pictures.ts';
import { LogFile } from './logfile.ts';
import type { Message, PictureFile, Run, Standing, State } from './wire.ts';

const LOGS = ['metrics.jsonl', 'log.txt'] as const;
const FIXED = ['original.png', 'masked.png'];

export class RunFollower {
  readonly id: number;
  readonly path: string;
  readonly #metricsLog: LogFile;
  readonly #epochsLog: LogFile;
  readonly #metrics = new Metrics();
  #epochs: Line[] = [];
  #standing: Standing = { state: 'waiting', heard: null, facts: null, pictures: [], problems: [] };
  #said = '';

  constructor(id: number, path: string) {
    this.id = id;
    this.path = path;
    this.#metricsLog = new LogFile(join(path, LOGS[0]));
    this.#epochsLog = new LogFile(join(path, LOGS[1]));
  }

  /** Looks once. @returns what is new; null where a log became another one, and all is to be told again */
  async look(): Promise<Message[] | null> {
    const problems: string[] = [];
    const facts = await readFacts(join(this.path, FACTS), problems);
    // Before its logs: of a run that is gone by now they then hold all.
    const alive = facts?.process ? isAlive(facts.process) : null;
    let again = false;
    const metrics: Line[] = [];
    const epochs: Line[] = [];
    const restarted = (): void => void (again = true);
    await this.#metricsLog.look(
      (line) => {
        metrics.push(line);
        this.#metrics.add(line);
      },
      () => {
        restarted();
        metrics.length = 0;
        this.#metrics.clear();
      },
    );
    await this.#epochsLog.look(
      (line) => {
        if (line.epoch === undefined) return;
        epochs.push(line);
        this.#epochs.push(line);
      },
      () => {
        restarted();
        epochs.length = 0;
        this.#epochs = [];
      },
    );
    this.#standing = await this.#stand(facts, alive, problems);
    const said = JSON.stringify(this.#standing);
    const changed = said !== this.#said;
    this.#said = said;
    if (again) return null;
    const { id } = this;
    return [
      // What is known of the run names its curves.
      ...(changed ? [{ event: 'standing' as const, data: { id, ...this.#standing } }] : []),
      ...(metrics.length || epochs.length ? [{ event: 'lines' as const, data: { id, metrics, epochs } }] : []),
    ];
  }

  get pictures(): readonly PictureFile[] {
    return this.#standing.pictures;
  }

  /** All that is known by now. */
  get run(): Run {
    const { id, path } = this;
    const metrics = this.#metrics.data;
    return { id, name: basename(resolve(path)), path, ...this.#standing, epochs: this.#epochs, metrics };
  }

  async #stand(facts: RunFacts | null, alive: boolean | null, problems: string[]): Promise<Standing> {
    for (const [i, { broken, trouble }] of [this.#metricsLog, this.#epochsLog].entries()) {
      if (trouble) problems.push(`${LOGS[i]} cannot be read (${trouble})`);
      if (broken.count)
        problems.push(
          `${LOGS[i]}: ${broken.count === 1 ? 'a line is' : `${broken.count} lines are`} no JSON with numbers and left out (the first is line ${broken.first})`,
        );
    }
    const times = await Promise.all(LOGS.map((log) => stat(join(this.path, log)).catch(() => null)));
    const heard = Math.max(...times.map((found) => found?.mtimeMs ?? 0)) || null;
    const state = this.#state(facts, alive);
    return {
      state,
      heard: state === 'running' ? null : heard,
      facts,
      pictures: await picturesIn(join(this.path, PICTURES)),
      problems,
    };
  }

  #state(facts: RunFacts | null, alive: boolean | null): State {
    const { epochs, max_steps } = facts?.options ?? {};
    const last = this.#epochs.at(-1);
    const done = last ? epochsDone(last) : 0;
    if (facts && (done >= Number(epochs) || this.#metrics.lastStep >= Number(max_steps ?? Number.NaN)))
      return 'finished';
    if (alive) return 'running';
    if (alive === false) return 'stopped';
    return facts || this.#metrics.lines ? 'unknown' : 'waiting';
  }
}

/** Facts as far as they are there; null where the file is none, which `problems` then tells. */
async function readFacts(path: string, problems: string[]): Promise<RunFacts | null> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') problems.push(`${FACTS} cannot be read (${error.code})`);
    return null;
  });
  if (text === null) return null;
  const facts = parseFacts(text);
  if (facts) return facts;
  problems.push(`${FACTS} is no JSON with facts of a run: what it would tell is missing here`);
  return null;
}

/** Those that are whole, original and masked first. */
async function picturesIn(folder: string): Promise<PictureFile[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const epochs = names.filter((name) => pictureEpoch(name) !== null);
  epochs.sort((a, b) => Number(pictureEpoch(a)) - Number(pictureEpoch(b)));
  const found = await Promise.all(
    [...FIXED.filter((name) => names.includes(name)), ...epochs].map(async (name) => {
      const path = join(folder, name);
      const [size, about] = await Promise.all([pngSize(path), stat(path).catch(() => null)]);
      return size && about ? [{ name, ...size, version: String(Math.round(about.mtimeMs)) }] : [];
    }),
  );
  return found.flat();
}

/** From a PNG's header: eight bytes of signature, and IHDR with its length and name before width and height. */
async function pngSize(path: string): Promise<{ width: number; height: number } | null> {
  const file = await open(path, 'r').catch(() => null);
  if (!file) return null;
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(24), 0, 24, 0);
    if (bytesRead < 24 || buffer.toString('latin1', 1, 4) !== 'PNG') return null;
    return { width: buffer.readUInt32BE(16), height: buffer.readUInt32BE(20) };
  } finally {
    await file.close();
  }
}
