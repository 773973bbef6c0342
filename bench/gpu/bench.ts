// `tesserae bench gpu`: every part as a process of its own, one after the other, and a report that is on disk after each.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../../engine/node/files.ts';
import type { GpuBench } from '../../mae/cli/benchgpu.ts';
import { type Ended, endTogether, endWithStarter, type Message, ownCommand, REQUEST, runChild } from './child.ts';
import { type Harness, kernelsOf } from './checks.ts';
import { foundIn, machine, nvidia } from './conditions.ts';
import { addEarlier, readEarlier, sameCard } from './earlier.ts';
import { holdClocks } from './hold.ts';
import { FIRST, type Part, partsFor } from './parts.ts';
import { checksOf, type Found, type PartResult, type Report, type Row } from './report.ts';
import { markdown, withShares } from './table.ts';
import { Torch, withModels } from './torch.ts';
import { work } from './worker.ts';

export { KINDS } from './parts.ts';

/** Of a part's limit, how much may be used before it begins nothing new, and what is kept for its end. */
const USABLE = 0.85;
const NOTE_EVERY_MS = 5000;
const MOST_LANES = 4;
const LEAST_MS = 5000;
const GENEROUS = 2;

export const benchGpu: GpuBench['benchGpu'] = async (options, { harness, torchScripts, version, out }) => {
  const request = process.env[REQUEST];
  if (request) {
    endWithStarter();
    await work(JSON.parse(request), (await harness()) as Harness);
    return 0;
  }
  endTogether();
  const report: Report = {
    tool: 'tesserae bench gpu',
    version,
    began: new Date().toISOString(),
    seconds: 0,
    command: process.argv.slice(1).join(' '),
    options,
    conditions: { machine: machine(), picks: options.picks, nvidia: { before: nvidia() } },
    parts: [],
  };
  const earlier = options.torch_from === null ? null : readEarlier(options.torch_from);
  const run = new Run(report, out, await torchScripts(), earlier);
  const clocks = nvidia() ? await holdClocks(options.python) : null;
  report.conditions = {
    ...report.conditions,
    clocks: clocks?.held ? 'held at work by a CUDA context' : 'as the driver sets them',
  };
  try {
    await run.all();
  } finally {
    run.close();
    clocks?.release();
  }
  process.stdout.write(`${markdown(report)}\n`);
  const checked = checksOf(report);
  say(`results are in ${out}${checked.text}`);
  return report.parts.every(endedWell) && !checked.nothing ? 0 : 1;
};

/** A check that failed, or work that could not be done; what did not fit into the time or into a buffer is neither. */
const isBad = ({ passed, error }: Row): boolean =>
  passed === false || (typeof error === 'string' && !/^not measured|use a smaller batch/.test(error));

const endedWell = ({ kind, status, rows }: PartResult): boolean =>
  status === 'skipped' || (status === 'ok' && (kind === 'torch' || !rows.some(isBad)));

const say = (line: string): void => void process.stderr.write(`${line}\n`);

class Run {
  readonly #report: Report;
  readonly #out: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'tesserae-gpu-'));
  readonly #torch: Torch;
  readonly #earlier: Report | null;
  readonly #began = performance.now();
  #found: Found | null = null;
  #noted = 0;

  constructor(report: Report, out: string, torchScripts: Readonly<Record<string, string>>, earlier: Report | null) {
    this.#report = report;
    this.#out = out;
    this.#earlier = earlier;
    this.#torch = new Torch(report.options, this.#folder, torchScripts);
  }

  async all(): Promise<void> {
    const { options, parts } = this.#report;
    await this.#part(FIRST, 60_000);
    if (!parts[0].rows.length) throw new Error(`bench gpu: no adapter: ${parts[0].error ?? 'none was found'}`);
    this.#report.conditions = { ...this.#report.conditions, adapter: parts[0].rows[0] };
    this.#found = foundIn(parts[0].rows[0]);
    if (this.#earlier) sameCard(this.#report, this.#earlier);
    const list = withModels(partsFor(this.#found, options), options);
    this.#torch.prepare(list.filter(({ kind }) => kind === 'torch'));
    const together = list.filter((part) => part.together);
    const lanes = this.#found.software ? 1 : Math.min(MOST_LANES, Math.max(1, availableParallelism() >> 2));
    await this.#lanes(
      together,
      lanes,
      list.filter((part) => !part.together),
    );
    const rest = list.filter((part) => !part.together);
    for (const [i, part] of rest.entries()) await this.#part(part, this.#limit(part, rest.slice(i)));
    if (this.#earlier) addEarlier(this.#report, this.#earlier);
    const { nvidia: before } = this.#report.conditions as { nvidia: object };
    this.#report.conditions = { ...this.#report.conditions, nvidia: { ...before, after: nvidia() } };
    await this.#save();
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Milliseconds that a part may take: some more than its share of what is left, because most need less. */
  #limit({ weight }: { weight: number }, coming: readonly { weight: number }[]): number {
    const left = Math.max(0, this.#report.options.minutes * 60_000 - (performance.now() - this.#began));
    const share = weight / coming.reduce((sum, part) => sum + part.weight, 0);
    return Math.max(LEAST_MS, left * Math.min(1, GENEROUS * share));
  }

  /** Parts that measure no time, several at once where the processor has the cores. */
  async #lanes(parts: readonly Part[], lanes: number, after: readonly Part[]): Promise<void> {
    const waiting = [...parts];
    const coming = () => [...waiting, ...after];
    const lane = async () => {
      for (let part = waiting.shift(); part; part = waiting.shift()) {
        await this.#part(
          part,
          this.#limit({ weight: part.weight * lanes }, [{ weight: part.weight * (lanes - 1) }, part, ...coming()]),
        );
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  }

  async #part(part: Part, limitMs: number): Promise<void> {
    const began = performance.now();
    const result: PartResult = {
      name: part.name,
      kind: part.kind,
      status: 'ok',
      seconds: 0,
      limit: limitMs / 1000,
      ...(part.kind === 'tests' && part.mode ? { kernels: kernelsOf(part.mode.profile).length } : {}),
      rows: [],
    };
    this.#report.parts.push(result);
    const got = (message: Message) => {
      if ('row' in message) result.rows.push(message.row);
      else if ('note' in message) this.#note(part, message.note);
    };
    const ended = await (part.kind === 'torch'
      ? this.#torch.turn(part, limitMs, USABLE * limitMs, got)
      : this.#own(part, limitMs, got));
    const { version } = this.#torch;
    if (version) this.#report.conditions = { ...this.#report.conditions, torch: version };
    Object.assign(result, ended, { seconds: (performance.now() - began) / 1000 });
    const bad = result.rows.filter(isBad).length;
    const end = ended.status === 'ok' ? '' : `, ${ended.status}: ${ended.error}`;
    say(
      `${this.#clock()} ${part.name}: ${result.rows.length} rows${bad ? `, ${bad} of them bad` : ''} in ${result.seconds.toFixed(1)} s${end}`,
    );
    await this.#save();
  }

  #own(part: Part, limitMs: number, got: (message: Message) => void): Promise<Ended> {
    const request = JSON.stringify({ part, options: this.#report.options, budgetMs: USABLE * limitMs });
    return runChild(ownCommand(), { [REQUEST]: request }, limitMs, got);
  }

  #clock = (): string => `[${((performance.now() - this.#began) / 1000).toFixed(0).padStart(3)} s]`;

  #note(part: Part, text: string): void {
    if (performance.now() - this.#noted < NOTE_EVERY_MS) return;
    this.#noted = performance.now();
    say(`${this.#clock()} ${part.name}: ${text}`);
  }

  async #save(): Promise<void> {
    this.#report.seconds = (performance.now() - this.#began) / 1000;
    await writeFileAtomic(this.#out, Buffer.from(`${JSON.stringify(withShares(this.#report), null, 1)}\n`));
  }
}
