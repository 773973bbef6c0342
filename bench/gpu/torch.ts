// PyTorch's processes. They start with the bench: importing torch and compiling models is work for the processor, which is done beside what
// the card is measured with; then each waits for its turn on the card.
import { renameSync, writeFileSync } from 'node:fs';
import { availableParallelism, setPriority } from 'node:os';
import { join } from 'node:path';
import { type Child, type Ended, type Message, startChild } from './child.ts';
import type { Part } from './parts.ts';
import type { Options } from './report.ts';
import { shapes } from './shapes.ts';
import { COMPARED, chosen, MASK_RATIO, type StepShape } from './steps.ts';

/** On fewer processors, what prepares would slow down what measures: there everything begins with its turn. */
const SPARE_PROCESSORS = 8;
/** A compiler at work is one thread that traces and so many that compile. */
const COMPILE_THREADS = 4;
/** Its niceness, as `nice` counts it, while others measure. */
const BEHIND = 15;
/** What is measured again where the rest is of an earlier run. */
const ANCHOR = 'bf16';
/** Small models say nothing of a compiler, and larger batches than the compared one nothing new. */
const SMALL = 96;
/** Of larger models fp32 takes longer than everything before it: it comes last. */
const LARGE = 768;

/** The one that is held against the compiler first. */
const compared = (options: Options): StepShape[] =>
  chosen(options).sort((a, b) => Number(b.batch === COMPARED) - Number(a.batch === COMPARED));

/** The parts with one for every model that is compiled. */
export const withModels = (parts: readonly Part[], options: Options): Part[] =>
  parts.flatMap((part) => {
    if (part.what !== 'compile') return [part];
    return compared(options)
      .filter(({ config, batch }) => options.quick || (config.embed_dim > SMALL && batch <= COMPARED))
      .flatMap((shape) => [shape, ...(isBound(shape) ? [{ ...shape, graphs: true }] : [])])
      .map((shape) => ({
        ...part,
        name: `${part.name}, ${shape.model} b${shape.batch}${'graphs' in shape ? ', graphs' : ''}`,
        shape,
      }));
  });

/** So small that PyTorch's host cannot keep up: with CUDA graphs, too. */
const isBound = ({ config }: StepShape): boolean => config.embed_dim > SMALL && config.embed_dim < 384;

/** Models and batches with the precisions to measure, the most telling first. */
function stepsOf({ what, shape }: Part, options: Options): object[] {
  const item = (one: StepShape, precisions: readonly string[]) => ({ ...one, mask_ratio: MASK_RATIO, precisions });
  if (what === 'anchor')
    return compared(options)
      .slice(0, 1)
      .map((one) => item(one, [ANCHOR]));
  if (what === 'kernels') return [];
  if (shape) return [item(shape, [])];
  const all = compared(options);
  const large = all.filter(({ config }) => config.embed_dim > LARGE);
  return [
    ...all.map((one) =>
      item(one, one.batch > COMPARED ? ['bf16'] : large.includes(one) ? ['bf16', 'tf32'] : ['bf16', 'tf32', 'fp32']),
    ),
    ...large.map((one) => item(one, ['fp32'])),
  ];
}

interface Job {
  readonly child: Child;
  /** The file that gives it its turn. */
  readonly turn: string;
  /** It waits for its turn, or has ended. */
  readonly ready: Promise<unknown>;
  /** From now on, who gets what it sends; before, it is kept. */
  readonly to: (got: (message: Message) => void) => void;
}

export class Torch {
  readonly #options: Options;
  readonly #folder: string;
  readonly #jobs = new Map<Part, Job>();
  #version: string | null = null;
  #missing: string | null = null;

  constructor(options: Options, folder: string, scripts: Readonly<Record<string, string>>) {
    this.#options = options;
    this.#folder = folder;
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(folder, name), text);
  }

  /** Its version and CUDA's, as soon as a process has said it. */
  get version(): string | null {
    return this.#version;
  }

  /** Starts what can be prepared while others measure. */
  prepare(parts: readonly Part[]): void {
    const processors = availableParallelism();
    if (processors < SPARE_PROCESSORS) return;
    for (const part of parts) if (!part.shape) this.#start(part);
    const models = parts.filter(({ shape }) => shape);
    const lane = async (): Promise<void> => {
      for (let part = models.shift(); part; part = models.shift())
        if (!this.#jobs.has(part)) await this.#start(part).ready;
    };
    for (let i = 0; i < Math.floor(processors / (1 + COMPILE_THREADS)); i++) void lane();
  }

  /** Lets a part have the card for at most `limitMs`; after `usableMs` it begins nothing new. */
  async turn(part: Part, limitMs: number, usableMs: number, got: (message: Message) => void): Promise<Ended> {
    if (!this.#missing) {
      const job = this.#jobs.get(part) ?? this.#start(part);
      job.to(got);
      writeFileSync(`${job.turn}.tmp`, JSON.stringify({ budget_s: usableMs / 1000 }));
      renameSync(`${job.turn}.tmp`, job.turn);
      if (part.shape) setNiceness(job.child.pid, 0);
      job.child.limit(limitMs);
      const ended = await job.child.ended;
      if (ended.error?.includes('cannot be started')) this.#missing = ended.error;
      if (!this.#missing) return ended;
    }
    return { status: 'skipped', error: this.#missing };
  }

  #start(part: Part): Job {
    const { python, torch, quick } = this.#options;
    const turn = join(this.#folder, `turn-${this.#jobs.size}`);
    const request = {
      what: part.what === 'anchor' ? 'step' : part.what,
      device: torch,
      quick,
      turn,
      kernels:
        part.what === 'kernels'
          ? shapes(quick).flatMap((one) => (one.torch ? [{ what: one.what, shape: one.shape, ...one.torch }] : []))
          : [],
      steps: stepsOf(part, this.#options),
    };
    const env = {
      PYTHONUNBUFFERED: '1',
      OMP_WAIT_POLICY: 'PASSIVE',
      TORCHINDUCTOR_COMPILE_THREADS: String(COMPILE_THREADS),
    };
    const kept: Message[] = [];
    let take = (message: Message): unknown => kept.push(message);
    let saysThatItWaits = (): void => {};
    const waiting = new Promise<void>((resolve) => (saysThatItWaits = resolve));
    const child = startChild([python, join(this.#folder, 'torch_step.py'), JSON.stringify(request)], env, (message) => {
      if ('torch' in message) this.#version = message.torch;
      else if ('missing' in message) this.#missing ??= `${python} has ${message.missing}`;
      else take(message);
      if ('waits' in message) saysThatItWaits();
    });
    if (part.shape) setNiceness(child.pid, BEHIND);
    const to = (got: (message: Message) => void): void => {
      take = got;
      for (const message of kept.splice(0)) got(message);
    };
    const job = { child, turn, ready: Promise.race([waiting, child.ended]), to };
    this.#jobs.set(part, job);
    return job;
  }
}

function setNiceness(pid: number, niceness: number): void {
  try {
    setPriority(pid, niceness);
  } catch {
    // It has ended, or only a superuser may: then it stays as it is.
  }
}
