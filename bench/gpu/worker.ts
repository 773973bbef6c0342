// One part, in a process of its own: does the work and sends a row for everything that it finds.
import { openDawn } from '../../engine/node/dawn.ts';
import { measureCeilings } from './ceilings.ts';
import { checkConformance, checkKernels, type Harness } from './checks.ts';
import { send } from './child.ts';
import { adapterRow } from './conditions.ts';
import { measureKernels } from './kernels.ts';
import type { Part } from './parts.ts';
import type { Options } from './report.ts';
import { measureSteps, profileStep } from './steps.ts';
import { openFor, type Work } from './work.ts';

/** What is asked of a worker. */
interface Request {
  readonly part: Part;
  readonly options: Options;
  /** After which nothing new is begun. */
  readonly budgetMs: number;
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
