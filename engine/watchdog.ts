// Notices a device that does not answer any more, and says which kernels it was at.
import { DeviceHungError } from './errors.ts';
import type { Step } from './plan.ts';

export interface WatchOptions {
  /** Without an answer for so long, in ms, beyond what the work in flight may take, the device is taken to hang. Default: 30 s. */
  readonly limitMs?: number;
  /** Hears of half of that time. */
  readonly slow?: (line: string) => void;
}

/** What was submitted together. */
export interface Work {
  readonly steps: readonly Step[];
  readonly flops: number;
  /** Bytes that are read and written. */
  readonly traffic: number;
  /** Software adapters compile a kernel when it first runs. */
  readonly first: boolean;
}

const LIMIT_MS = 30_000;
/** Slower than anything that was seen, so that patience outlasts work: per ms. A compilation, in ms a dispatch. */
const PACE = {
  software: { flops: 1e6, bytes: 2e5, compile: 500 },
  gpu: { flops: 1e8, bytes: 1e7, compile: 20 },
} as const;
/** What messages call the device, and why it may be slow. */
const KIND = {
  software: { name: 'software adapter', why: ' (it computes on the CPU, which other programs may be using)' },
  gpu: { name: 'GPU', why: '' },
} as const;
/** A timer that fires so many ms late says that the whole machine stood still, not the device. */
const LATE_MS = 1000;
/** Runs beyond those that led to a hang that are still made call by call. */
const FURTHER = 10;
const MOST_IN_FLIGHT = 100;
/** Kernels that a message names. */
const NAMED = 5;

export class Watchdog {
  readonly #pace: (typeof PACE)[keyof typeof PACE];
  readonly #kind: (typeof KIND)[keyof typeof KIND];
  readonly #limit: number;
  readonly #slow: ((line: string) => void) | undefined;
  readonly #now: () => number;
  #inFlight: Work[] = [];
  #progress: number;
  #runs = 0;
  #turn: Promise<unknown> = Promise.resolve();
  #cautious = 0;

  constructor(software: boolean, { limitMs = LIMIT_MS, slow }: WatchOptions = {}, now = () => performance.now()) {
    this.#pace = PACE[software ? 'software' : 'gpu'];
    this.#kind = KIND[software ? 'software' : 'gpu'];
    this.#limit = limitMs;
    this.#slow = slow;
    this.#now = now;
    this.#progress = now();
  }

  /** A run begins. True: its calls are to be submitted one by one, each waited for, as this has led to a hang before. */
  run(): boolean {
    this.#runs++;
    return this.#cautious > 0 && this.#cautious-- > 0;
  }

  /** Runs what waits in the middle one at a time. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Work is submitted; what this gives is to be called when it is done, and what was submitted before it then is, too. */
  begin(work: Work): () => void {
    if (!this.#inFlight.length) this.#progress = this.#now();
    this.#inFlight.push(work);
    // Runs that nothing is read of are done when a later one is; of many in a row the last ones do for a message.
    if (this.#inFlight.length > MOST_IN_FLIGHT) this.#inFlight.shift();
    return () => {
      this.#inFlight.splice(0, this.#inFlight.indexOf(work) + 1);
      this.#progress = this.#now();
    };
  }

  /** What this gives is to be called when all that is submitted by now is done: of work that nothing is read of nobody else says so. */
  until(): () => void {
    const last = this.#inFlight.at(-1);
    return () => {
      if (last) this.#inFlight.splice(0, this.#inFlight.indexOf(last) + 1);
    };
  }

  /** From here on a device would be asked to do work again: what came before never has to be. */
  kept(): void {
    this.#runs = 0;
  }

  /** Work begins anew on another device, call by call where the last one hung or was lost at the same place before. */
  restart(cautious: boolean): void {
    this.#cautious = cautious ? this.#runs + FURTHER : 0;
    this.#runs = 0;
    this.#inFlight = [];
    this.#progress = this.#now();
  }

  /** Waits for something of the device, but not for ever. @throws DeviceHungError */
  guard<T>(promise: Promise<T>): Promise<T> {
    this.#progress = Math.max(this.#progress, this.#inFlight.length ? 0 : this.#now());
    return new Promise<T>((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout>;
      let told = false;
      const look = (due: number): void => {
        const limit = this.#limit + this.#forecast();
        if (this.#now() - due > LATE_MS) this.#progress = this.#now();
        const silent = this.#now() - this.#progress;
        if (silent >= limit) {
          reject(this.#hung(silent));
          return;
        }
        if (silent >= limit / 2 && !told) {
          told = true;
          this.#slow?.(
            `${this.#kind.name}: no answer for ${seconds(silent)} s, ${this.#what()}; still waiting${this.#kind.why}`,
          );
        }
        const wait = Math.max(1, (told || silent >= limit / 2 ? limit : limit / 2) - silent);
        const next = this.#now() + wait;
        timer = setTimeout(() => look(next), wait);
        // In Node: waiting for nothing but this is no reason to stay.
        (timer as { unref?: () => void }).unref?.();
      };
      look(this.#now());
      const settled = (): void => {
        clearTimeout(timer);
        this.#progress = this.#now();
      };
      promise.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error) => {
          settled();
          reject(error);
        },
      );
    });
  }

  /** ms that the work in flight may take at the very most. */
  #forecast(): number {
    const { flops, bytes, compile } = this.#pace;
    const ms = (w: Work): number => w.flops / flops + w.traffic / bytes + (w.first ? compile * w.steps.length : 0);
    return this.#inFlight.reduce((sum, work) => sum + ms(work), 0);
  }

  #hung(silent: number): DeviceHungError {
    const steps = this.#inFlight.flatMap((work) => work.steps);
    const kernel = steps.length === 1 ? nameOf(steps[0]) : null;
    const text = `${this.#kind.name}: ${kernel ?? 'the device'} has not come back for ${seconds(silent)} s`;
    return new DeviceHungError(kernel ? text : `${text}, ${this.#what()}`, kernel);
  }

  #what(): string {
    const steps = this.#inFlight.flatMap((work) => work.steps);
    if (!steps.length) return 'with nothing in flight';
    const counts = new Map<string, number>();
    for (const { call } of steps) counts.set(call.kernel.name, (counts.get(call.kernel.name) ?? 0) + 1);
    const most = [...counts].sort(([, a], [, b]) => b - a).map(([name, n]) => `${name} x${n}`);
    const more = most.length > NAMED ? ` and ${most.length - NAMED} kernels more` : '';
    return `with ${steps.length} dispatches in flight (${most.slice(0, NAMED).join(', ')}${more})`;
  }
}

const seconds = (ms: number): string => (ms / 1000).toFixed(ms < 10_000 ? 1 : 0);

/** A dispatch by its kernel and sizes. */
export function nameOf({ call }: Step): string {
  const sizes = Object.entries(call.problem).map(([name, value]) => `${name} ${value}`);
  return `${call.kernel.name} (${sizes.join(', ')})`;
}
