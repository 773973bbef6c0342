// Time of a few kernel calls in a row, repeated on the device: how single kernels are measured.
import type { Device } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { madeUp, type Wanted } from '../engine/madeup.ts';
import { Pipelines } from '../engine/pipelines.ts';
import type { Shape, Tensor, Variable } from '../engine/tensor.ts';
import type { Trace } from '../engine/trace.ts';
import { type AnyKernel, movedBytes, type Settings, storedAs } from '../kernels/kernel.ts';
import { random } from '../kernels/random/random.ts';
import { resolve } from '../kernels/restate.ts';
import { summed } from './median.ts';

/** One of the calls. Its inputs are the outputs of earlier ones where `takes` or the same name says so, else made up. */
export interface KernelCall {
  readonly kernel: AnyKernel;
  readonly problem: Settings;
  /** Binding to the output of an earlier call. */
  readonly takes?: Readonly<Record<string, string>>;
  /** Inputs that are not to be made up. */
  readonly inputs?: Readonly<Record<string, ArrayLike<number>>>;
}

export interface CallTime {
  /** Median of one pass through the calls, and the fastest. */
  readonly ms: number;
  readonly best: number;
  /** Slowest over fastest sample, less 1: how far to trust it. */
  readonly spread: number;
  readonly flops: number;
  /** That must be read and written (movedBytes). */
  readonly bytes: number;
}

/** Calls are repeated within one submit until that takes so long: the host's part and the grain of waiting vanish. */
const SUBMIT_MS = 20;
const MOST_REPEATS = 1000;
/** Repeats that tell how long a short call takes. */
const PROBE = 20;
/** On a GPU, repeats go round several sets of inputs that do not fit its cache together. */
const BEYOND_CACHE = 192 * 2 ** 20;
const MOST_SETS = 8;

export interface Sampling {
  readonly samples?: number;
  readonly submitMs?: number;
}

/** Held for as long as their device. */
const built = new WeakMap<Device, Pipelines>();

/** Builds the pipelines of calls on all cores, before they are timed one by one: while these are held, Dawn builds none of the same text anew. */
export async function buildAll(device: Device, calls: readonly KernelCall[]): Promise<void> {
  const pipelines = built.get(device) ?? new Pipelines(device);
  built.set(device, pipelines);
  const traits = { ...device.traits, picks: device.picks };
  // What does not build is told when it is timed.
  await Promise.allSettled(
    calls.map(async ({ kernel, problem }) =>
      pipelines.get(kernel.name, resolve(kernel, full(kernel, problem), traits)),
    ),
  );
}

/** How long a pass through the calls takes: `samples` samples, each of passes for about `submitMs`. Inputs are made up on the device. */
export async function timeCalls(
  device: Device,
  calls: readonly KernelCall[],
  { samples = 5, submitMs = SUBMIT_MS }: Sampling = {},
): Promise<CallTime> {
  using engine = new Engine(device);
  const bytes = calls.reduce((sum, { kernel, problem }) => sum + movedBytes(kernel, problem), 0);
  const sets = device.adapter.software ? 1 : Math.min(MOST_SETS, Math.max(1, Math.ceil(BEYOND_CACHE / bytes)));
  const variables = await Promise.all(Array.from({ length: sets }, (_, i) => makeInputs(engine, calls, i)));
  const program = (times: number) =>
    engine.compile({}, (_, t) => {
      for (let i = 0; i < times; i++) record(t, calls, variables[i % sets]);
      return {} as Record<never, Tensor>;
    });
  const time = async (run: ReturnType<typeof program>): Promise<number> => {
    const began = performance.now();
    await run.run({});
    await engine.finish();
    return performance.now() - began;
  };
  const once = program(1);
  await time(once);
  const first = Math.min(await time(once), await time(once));
  const alone = device.adapter.software ? 0 : Math.min(first, await time(once));
  let each = first;
  if (alone && first < submitMs / 4) {
    const several = program(1 + PROBE);
    await time(several);
    each = ((await time(several)) - alone) / PROBE;
  }
  const times = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(submitMs / Math.max(0.001, each)))) + (alone ? 1 : 0);
  const repeated = times === 1 ? once : program(times);
  if (times > 1) await time(repeated);
  const measured: number[] = [];
  for (let i = 0; i < samples; i++) {
    const took = await time(repeated);
    // On a GPU less what a submit takes beyond its calls: up to a millisecond, where a call may last five thousandths of one.
    measured.push(alone && took > 2 * alone ? (took - alone) / (times - 1) : took / times);
  }
  const flops = calls.reduce((sum, { kernel, problem }) => sum + kernel.flops(full(kernel, problem) as never), 0);
  return { ...summed(measured), best: Math.min(...measured), flops, bytes };
}

const full = (kernel: AnyKernel, problem: Settings): Settings => ({ ...kernel.options, ...problem });

function record(t: Trace, calls: readonly KernelCall[], variables: ReadonlyMap<string, Variable>): void {
  const made: Record<string, Tensor> = {};
  for (const [i, { kernel, problem, takes = {} }] of calls.entries()) {
    const inputs: Record<string, Tensor | null> = {};
    for (const name of Object.keys(kernel.bindings)) {
      const variable = variables.get(`${i} ${name}`);
      inputs[name] = made[takes[name] ?? name] ?? (variable ? t.use(variable) : null);
    }
    Object.assign(made, t.dispatch(kernel, inputs, problem));
  }
}

/** A variable for every binding that a call reads or updates and no earlier call writes. */
function makeInputs(engine: Engine, calls: readonly KernelCall[], seed: number): Promise<Map<string, Variable>> {
  const wanted: Wanted[] = [];
  const written = new Set<string>();
  for (const [i, { kernel, problem, takes = {}, inputs }] of calls.entries()) {
    const sizes = full(kernel, problem);
    const shapes = kernel.shapes(sizes as never) as Record<string, Shape | null>;
    const given: Readonly<Record<string, ArrayLike<number>>> = inputs ?? special(kernel, sizes);
    for (const [name, { access }] of Object.entries(kernel.bindings)) {
      const shape = shapes[name];
      const passed = access === 'read' || kernel.inout.includes(name);
      if (!shape || !passed || written.has(takes[name] ?? name)) continue;
      const dtype = storedAs(kernel, name, sizes);
      wanted.push({ name: `${i} ${name}`, shape, dtype, data: given[name] });
    }
    for (const [name, { access }] of Object.entries(kernel.bindings)) if (access === 'read_write') written.add(name);
  }
  return madeUp(engine, wanted, seed);
}

/**
 * A kernel's own test inputs where it reads indices or a mask; any numbers do elsewhere. attention.backward and the like
 * would compute theirs by an f64 reference, which takes minutes at the sizes of a real model.
 */
function special(kernel: AnyKernel, problem: Settings): Readonly<Record<string, ArrayLike<number>>> {
  if (kernel.name === 'adamw.update') {
    return {
      hyper: [1e-4, 0.1, 0.001, 1e-8, 1, 1, 1, 0],
      v: new Float32Array(Math.min(problem.n as number, 2 ** 16)).fill(1),
    };
  }
  // Any numbers do, and 100 million of its own take seconds to draw.
  if (kernel.name === 'lossscale.check') return {};
  const indices = Object.values(kernel.bindings).some((b) => b.access === 'read' && b.type !== 'f32');
  return indices || kernel.name.startsWith('loss.') ? (kernel.inputs?.(problem as never, random(1)) ?? {}) : {};
}
