// run.json of a run's folder: what runs there, on what, and what the kernels of one of its steps took. Reports read it; no number of
// the run depends on it.
import type { Engine, InputTypes } from '../../engine/engine.ts';
import { type KernelSum, record, Recorder, recording } from '../../engine/timings.ts';
import { parameterCount } from '../model/parameter-count.ts';
import { VERSION } from '../version.ts';
import type { Checkpointed, RunSetup } from './setup.ts';

/** A kernel's calls within one step. */
export interface KernelFacts extends KernelSum {
  readonly kernel: string;
}

/** By which others tell whether a run still lives. */
export interface ProcessFacts {
  readonly pid: number;
  readonly host: string;
  /** When it began, by the system's own clock; null where that is not told. */
  readonly started: string | null;
}

export interface RunFacts {
  readonly command: string;
  readonly tesserae: string;
  /** Its version; absent where it runs in a page. */
  readonly node?: string;
  readonly adapter: string;
  readonly profile: string;
  readonly precision: string;
  /** When this process began, ISO 8601. */
  readonly began: string;
  /** Runs of before this was kept lack it, and those in a page. */
  readonly process?: ProcessFacts;
  readonly images: number;
  readonly stepsPerEpoch: number;
  readonly parameters: number;
  readonly options: Readonly<Record<string, unknown>>;
  /** Of the step that was timed; null until then. */
  readonly step: StepFacts | null;
}

export interface StepFacts {
  readonly kernels: readonly KernelFacts[];
  /** Timed by waiting for each kernel, for want of timestamps: short ones show the wait. */
  readonly byWaiting: boolean;
  /** GPU memory of everything that is there by then. */
  readonly gpuBytes: number;
}

/** The step of a process that is timed: by then everything is compiled. */
export const TIMED_STEP = 3;

export function runFacts<I extends InputTypes, C extends Checkpointed>(
  { engine, command, train, trainer, updates, options }: RunSetup<I, C>,
  step: StepFacts | null,
): RunFacts {
  const { adapter, traits } = engine.device;
  const { trainable } = trainer.optimizer.parameters;
  return {
    command,
    tesserae: VERSION,
    adapter: adapter.description || adapter.vendor,
    profile: traits.profile,
    precision: engine.precision,
    began: new Date(performance.timeOrigin).toISOString(),
    images: train.length,
    stepsPerEpoch: updates.count,
    parameters: parameterCount(trainable),
    options: { ...options },
    step,
  };
}

/** `step` with every kernel in a pass of its own, between two timestamps: its bits stay the same. */
export async function timedStep<T>(engine: Engine, step: () => Promise<T>): Promise<{ value: T; facts: StepFacts }> {
  const other = recording();
  const recorder = other ?? new Recorder(false);
  await recorder.settled();
  const before = new Map([...recorder.kernels].map(([name, sum]) => [name, { ...sum }]));
  if (!other) record(recorder);
  try {
    const value = await step();
    await recorder.settled();
    const kernels = [...recorder.kernels].flatMap(([kernel, sum]) => {
      const { calls = 0, ms = 0, flops = 0, bytes = 0 } = before.get(kernel) ?? {};
      const part = { calls: sum.calls - calls, ms: sum.ms - ms, flops: sum.flops - flops, bytes: sum.bytes - bytes };
      return part.calls ? [{ kernel, ...part }] : [];
    });
    kernels.sort((a, b) => b.ms - a.ms);
    return { value, facts: { kernels, byWaiting: recorder.byWaiting, gpuBytes: engine.stats.bytes } };
  } finally {
    if (!other) record(null);
  }
}
