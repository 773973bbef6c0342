// One part, in a process of its own: does the work and sends a row for everything that it finds.
import type { Device } from '../../engine/device.ts';
import { openDawn } from '../../engine/node/dawn.ts';
import { usePicks } from '../../mae/cli/picks.ts';
import { movedBytes } from '../../kernels/kernel.ts';
import { buildAll, type KernelCall, timeCalls } from '../call.ts';
import { copyTimes, measureCeilings } from './ceilings.ts';
import { checkConformance, checkKernels, type Harness } from './checks.ts';
import { send } from './child.ts';
import { adapterRow } from './conditions.ts';
import type { Part } from './parts.ts';
import { type Mode, modeText, type Options, type Row } from './report.ts';
import { shapes } from './shapes.ts';
import { measureSteps, profileStep } from './steps.ts';

/** What is asked of a worker. */
interface Request {
  readonly part: Part;
  readonly options: Options;
  /** After which nothing new is begun. */
  readonly budgetMs: number;
}

/** What a part works with. */
export interface Work {
  readonly part: Part;
  readonly options: Options;
  readonly mode: Mode;
  readonly harness: Harness;
  readonly emit: (row: Row) => void;
  readonly note: (text: string) => void;
  /** Milliseconds of the budget that are left. */
  readonly left: () => number;
}

/** A device with the settings that were asked for. */
export async function openFor({ mode, options, note }: Work, toggles: readonly string[] = []): Promise<Device> {
  const device = await openDawn({ profile: mode.profile, adapter: options.adapter ?? undefined, toggles });
  // A new device has those that ship.
  if (options.picks !== 'shipped') await usePicks(device, options.picks === 'none', note);
  return device;
}

const DOES: Readonly<Record<Part['kind'], (work: Work) => Promise<void>>> = {
  adapter: async ({ options, emit }) => {
    // With the profile: on software adapters it decides how wide subgroups are, and so whether there are matrices.
    using device = await openDawn({ adapter: options.adapter ?? undefined, profile: options.profile ?? undefined });
    emit(adapterRow(device));
  },
  conformance: checkConformance,
  tests: checkKernels,
  ceilings: async (work) => {
    using device = await openFor(work);
    await measureCeilings(
      device,
      work.part.what === 'matrix',
      work.options.quick || device.adapter.software,
      (found) => {
        work.emit({ ...found, error: found.error ?? null });
        work.note(`${found.what}: ${found.how}`);
      },
    );
  },
  kernels: measureKernels,
  step: measureSteps,
  profile: profileStep,
  torch: async () => {
    throw new Error('PyTorch has a process of its own');
  },
};

/** Does the part that was asked for. */
export async function work({ part, options, budgetMs }: Request, harness: Harness): Promise<void> {
  const began = performance.now();
  await DOES[part.kind]({
    part,
    options,
    mode: part.mode ?? { profile: 'simt', precision: 'f32' },
    harness,
    emit: (row) => send({ row }),
    note: (note) => send({ note }),
    left: () => budgetMs - (performance.now() - began),
  });
}

/** Of single calls, where the numbers only have to be there. */
export const QUICK = { samples: 1, submitMs: 0 };

/** On a GPU, whose samples hardly differ: five of 8 ms, for now and then one stalls. A row is then made of what it takes to build its pipelines and inputs. */
const BRISK = { samples: 5, submitMs: 8 };

/** How often a long call runs for its measurement, the least time that all its samples take, and what comes before them on a GPU. */
const [PASSES, SAMPLED_MS, ROW_MS] = [8, 56, 150];

async function measureKernels(work: Work): Promise<void> {
  const { mode, options, emit, note, left } = work;
  const device = await openFor(work);
  const sampling = options.quick ? QUICK : device.adapter.software ? {} : BRISK;
  /** FLOP and bytes a millisecond that earlier rows reached at worst: nothing is forecast before there is one. */
  let [rate, speed] = [Infinity, Infinity];
  const copyTime = copyTimes(device, sampling);
  const list = shapes(options.quick).flatMap(({ what, shape, calls }) => {
    const made = calls(mode, device.traits);
    return made ? [{ what, shape, made }] : [];
  });
  if (!device.adapter.software)
    await buildAll(
      device,
      list.flatMap(({ made }) => made),
    );
  for (const { what, shape, made } of list) {
    const row = { what, shape, mode: modeText(mode) };
    const sum = (of: (call: KernelCall) => number): number => made.reduce((total, call) => total + of(call), 0);
    const flops = sum(({ kernel, problem }) => kernel.flops({ ...kernel.options, ...problem } as never));
    const bytes = sum(({ kernel, problem }) => movedBytes(kernel, problem));
    const product = /^(gemm|attention)/.test(what);
    const once = Math.max(product ? flops / rate : 0, bytes / speed);
    if (left() <= (options.quick ? 0 : ROW_MS + Math.max(SAMPLED_MS, PASSES * once))) {
      emit({ ...row, error: 'not measured: out of time' });
      continue;
    }
    note(`${what} ${shape}`);
    try {
      const time = await timeCalls(device, made, sampling);
      device.check();
      // What only moves memory says nothing of products, and the other way round.
      if (product) rate = Math.min(rate, time.flops / time.ms);
      else speed = Math.min(speed, time.bytes / time.ms);
      emit({
        ...row,
        ms: time.ms,
        best_ms: time.best,
        gflop_s: time.flops / time.ms / 1e6,
        gb_s: time.bytes / time.ms / 1e6,
        flops: time.flops,
        bytes: time.bytes,
        ...(product ? {} : { copy_ms: await copyTime(time.bytes) }),
      });
    } catch (error) {
      emit({ ...row, error: (error as Error).message.split('\n')[0].slice(0, 300) });
    }
  }
  device.dispose();
}
