// What a run spends its time on, when someone asks: the time of every dispatch by timestamp queries, and spans of the host's work.
// Off, this costs a look at one variable a run.
import type { Device } from './device.ts';
import type { Step } from './plan.ts';

/** Host work that is told apart; GPU passes are a kind of their own. */
export type HostKind = 'encode' | 'submit' | 'wait' | 'compile' | 'decode' | 'save';

/** Work of the host, in ms of performance.now(). */
interface HostSpan {
  readonly kind: HostKind;
  readonly what: string;
  readonly began: number;
  readonly ended: number;
}

/** One dispatch. Times in ms of the GPU's clock: `Recorder.offset` more is performance.now(). */
interface KernelSpan {
  readonly kernel: string;
  readonly began: number;
  readonly ended: number;
}

/** Sums over the calls of a kernel. */
export interface KernelSum {
  calls: number;
  ms: number;
  flops: number;
  /** Of every binding once a call. */
  bytes: number;
}

/** Spans that are kept, of either kind: a trace of about 40 MB. Sums go on. */
export const MOST_SPANS = 200_000;

export class Recorder {
  readonly hosts: HostSpan[] = [];
  readonly passes: KernelSpan[] = [];
  readonly kernels = new Map<string, KernelSum>();
  /** ms of the host's work by kind. */
  readonly host = new Map<HostKind, number>();
  /** Spans that were not kept, as there were too many. */
  left = 0;
  /** Dispatches were submitted one by one and timed by waiting: the adapter has no timestamps. */
  byWaiting = false;
  /** Names the adapter that was timed; null where nothing ran on one. */
  adapter: string | null = null;
  readonly #keep: boolean;
  readonly #most: number;
  readonly #pending = new Set<Promise<void>>();
  #offset = Number.NEGATIVE_INFINITY;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param keep spans one by one, for a trace, beside the sums */
  constructor(keep: boolean, most = MOST_SPANS) {
    this.#keep = keep;
    this.#most = most;
  }

  /** What is added to the GPU's clock to get performance.now(): the least that starts no pass before it was submitted. */
  get offset(): number {
    return Number.isFinite(this.#offset) ? this.#offset : 0;
  }

  addHost(span: HostSpan): void {
    this.host.set(span.kind, (this.host.get(span.kind) ?? 0) + span.ended - span.began);
    if (this.#room()) this.hosts.push(span);
  }

  /** @param began @param ended in ms of the GPU's clock */
  addPass({ call }: Step, began: number, ended: number): void {
    const { name: kernel } = call.kernel;
    const sum = this.kernels.get(kernel) ?? { calls: 0, ms: 0, flops: 0, bytes: 0 };
    this.kernels.set(kernel, sum);
    sum.calls++;
    sum.ms += ended - began;
    sum.flops += call.kernel.flops(call.problem as never);
    for (const t of Object.values(call.bindings)) sum.bytes += t?.bytes ?? 0;
    if (this.#room()) this.passes.push({ kernel, began, ended });
  }

  /** `first`, in ms of the GPU's clock, was not before `submitted`. */
  align(first: number, submitted: number): void {
    this.#offset = Math.max(this.#offset, submitted - first);
  }

  /** Runs what waits in the middle, one at a time in the order asked: runs that nobody awaits must not mix. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Work whose figures are still on the device. */
  later(figures: Promise<void>): void {
    // A lost device ends the run with an error of its own.
    const settled = figures.catch(() => {}).finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }

  /** Waits until at most `left` submits have figures on the device. */
  async settled(left = 0): Promise<void> {
    while (this.#pending.size > left) await Promise.race(this.#pending);
  }

  #room(): boolean {
    if (!this.#keep) return false;
    if (this.hosts.length + this.passes.length < this.#most) return true;
    this.left++;
    return false;
  }
}

let current: Recorder | null = null;

/** The recorder that is asked for, or null. */
export const recording = (): Recorder | null => current;

/** From here on every engine of this process tells `recorder`; null: none. */
export function record(recorder: Recorder | null): void {
  current = recorder;
}

/** `work`, told as a span where someone asks. */
export async function spanned<T>(kind: HostKind, what: string, work: () => Promise<T>): Promise<T> {
  const recorder = current;
  if (!recorder) return work();
  const began = performance.now();
  try {
    return await work();
  } finally {
    recorder.addHost({ kind, what, began, ended: performance.now() });
  }
}

/** The same for work that ends at once. */
export function spannedNow<T>(kind: HostKind, what: string, work: () => T): T {
  const recorder = current;
  if (!recorder) return work();
  const began = performance.now();
  try {
    return work();
  } finally {
    recorder.addHost({ kind, what, began, ended: performance.now() });
  }
}

const NS_PER_MS = 1e6;
/** WebGPU's limit of a query set. */
const MOST_QUERIES = 4096;
const QUERY_RESOLVE = 512;
const COPY_SRC = 4;
const COPY_DST = 8;
const MAP_READ = 1;
/** Submits whose timestamps may wait on the device. */
const IN_FLIGHT = 3;

/** A dispatch into the pass that it is given. */
type Dispatch = (pass: GPUComputePassEncoder) => void;

/**
 * Runs the dispatches of `steps`, each in a pass of its own so that it can be timed; `last` encodes what comes after them.
 * Passes do not overlap then as they may within one: a little slower than without.
 */
export async function runTimed(
  recorder: Recorder,
  device: Device,
  steps: readonly Step[],
  dispatches: readonly Dispatch[],
  last: (encoder: GPUCommandEncoder) => void,
): Promise<void> {
  recorder.adapter = device.adapter.description;
  const byQuery = device.traits.features.has('timestamp-query');
  if (!byQuery) await oneByOne(recorder, device, steps, dispatches);
  else {
    for (let at = 0; at < steps.length; at += MOST_QUERIES / 2) {
      const end = at + MOST_QUERIES / 2;
      await recorder.settled(IN_FLIGHT - 1);
      byTimestamps(recorder, device, steps.slice(at, end), dispatches.slice(at, end));
    }
  }
  const encoder = device.gpu.createCommandEncoder({ label: 'outputs' });
  last(encoder);
  device.gpu.queue.submit([encoder.finish()]);
}

async function oneByOne(
  recorder: Recorder,
  { gpu, wait }: Device,
  steps: readonly Step[],
  dispatches: readonly Dispatch[],
): Promise<void> {
  recorder.byWaiting = true;
  recorder.align(0, 0); // the host's clock
  await wait(gpu.queue.onSubmittedWorkDone());
  for (const [i, dispatch] of dispatches.entries()) {
    const encoder = gpu.createCommandEncoder({ label: 'timed' });
    const pass = encoder.beginComputePass();
    dispatch(pass);
    pass.end();
    const began = performance.now();
    gpu.queue.submit([encoder.finish()]);
    await wait(gpu.queue.onSubmittedWorkDone());
    recorder.addPass(steps[i], began, performance.now());
  }
}

function byTimestamps(
  recorder: Recorder,
  device: Device,
  steps: readonly Step[],
  dispatches: readonly Dispatch[],
): void {
  const { gpu } = device;
  const queries = 2 * dispatches.length;
  const bytes = 8 * queries;
  const querySet = gpu.createQuerySet({ label: 'timings', type: 'timestamp', count: queries });
  const resolved = gpu.createBuffer({ label: 'timings', size: bytes, usage: QUERY_RESOLVE | COPY_SRC });
  const staging = gpu.createBuffer({ label: 'timings', size: bytes, usage: MAP_READ | COPY_DST });
  const encoder = gpu.createCommandEncoder({ label: 'timed' });
  spannedNow('encode', 'encode', () => {
    for (const [i, dispatch] of dispatches.entries()) {
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
      });
      dispatch(pass);
      pass.end();
    }
    encoder.resolveQuerySet(querySet, 0, queries, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
  });
  const submitted = performance.now();
  spannedNow('submit', 'submit', () => gpu.queue.submit([encoder.finish()]));
  const read = async (): Promise<void> => {
    try {
      const times = Array.from(new BigUint64Array(await device.bytes(staging)), (ns) => Number(ns) / NS_PER_MS);
      recorder.align(times[0], submitted);
      // Some drivers write an end before its beginning where a pass is shorter than their clock's grain.
      for (const [i, step] of steps.entries())
        recorder.addPass(step, times[2 * i], Math.max(times[2 * i], times[2 * i + 1]));
    } finally {
      querySet.destroy();
      resolved.destroy();
      staging.destroy();
    }
  };
  recorder.later(read());
}
