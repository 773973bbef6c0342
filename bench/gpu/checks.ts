// Is it right on this device? Conformance cases, and every kernel of the catalogue beside its f64 reference.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../engine/device.ts';
import { Engine } from '../../engine/engine.ts';
import { openDawn } from '../../engine/node/dawn.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { type AnyKernel, catalogue, type Settings } from '../../kernels/index.ts';
import type { Profile } from '../../kernels/kernel.ts';
import { runConformance } from '../../mae/conformance.ts';
import { PLAIN } from './parts.ts';
import { openFor, type Work } from './work.ts';

/** What test/support/kernel-run.ts exports: benches do not import tests, so whoever starts this hands it over. */
export interface Harness {
  readonly POISONS: readonly number[];
  prepare(kernel: AnyKernel, problem: Settings, device: Device, seed: number): unknown;
  compare(kernel: AnyKernel, trial: never, device: Device, poison: number): Promise<number>;
}

const reason = (error: unknown): string => (error as Error).message.split('\n')[0].slice(0, 300);

const OPTIONAL = ['subgroups', 'shader-f16', 'chromium-experimental-subgroup-matrix'];

/** A row for every case and precision: the group of tensors nearest to its bound, or farthest over it. */
export async function checkConformance(work: Work): Promise<void> {
  const { options, mode, emit, note, left } = work;
  const folder = options.golden as string;
  const cases = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
  if (!cases.length) throw new Error(`${folder} holds no .safetensors case`);
  const precisions = mode.profile === 'matrix' ? options.precisions.filter((p) => p === 'f16') : options.precisions;
  for (const name of cases) {
    for (const precision of precisions) {
      note(`${name} ${precision}`);
      const row = { case: name, profile: mode.profile, precision };
      if (left() <= 0) {
        emit({ ...row, passed: null, failure: 'not run: out of time' });
        continue;
      }
      using device = await openFor(work);
      using engine = new Engine(device, { precision });
      try {
        const result = await runConformance(engine, parseSafetensors(readFileSync(join(folder, name))));
        const [worst] = [...result.groups].sort((a, b) => margin(b) - margin(a));
        const { group, error, bound } = worst;
        emit({ ...row, passed: result.passed, groups: result.groups.length, worst: group, error, bound });
      } catch (error) {
        emit({ ...row, passed: false, failure: reason(error) });
      }
    }
  }
}

const margin = ({ error, bound }: { error: number; bound: number }): number =>
  error <= bound ? (bound === 0 ? 0 : error / bound) : 1 + error;

/** What there is to check in a profile. */
export const kernelsOf = (profile: Profile): AnyKernel[] => catalogue.filter((k) => k.variants[profile]);

/** A row for every kernel that has a variant for the profile; PLAIN: on a device that lacks what kernels can do without. */
export async function checkKernels({ part, options, mode, harness, emit, note, left }: Work): Promise<void> {
  const { profile } = mode;
  const plain = part.what === PLAIN;
  const poisons = options.quick ? harness.POISONS.slice(0, 1) : harness.POISONS;
  const seed = Date.now() % 2 ** 31;
  const adapter = options.adapter ?? undefined;
  let device: Device | null = null;
  for (const kernel of kernelsOf(profile)) {
    const cases = options.quick ? [kernel.cases[1] ?? kernel.cases[0]] : kernel.cases;
    note(kernel.name);
    const row = { kernel: kernel.name, profile: plain ? `${profile}, ${PLAIN}` : profile };
    if (left() <= 0) {
      emit({ ...row, passed: null, failure: 'not run: out of time' });
      continue;
    }
    let [worst, done, problem] = [0, 0, {} as Settings];
    try {
      device ??= await openDawn({
        profile,
        adapter,
        without: plain ? OPTIONAL : [],
        raiseLimits: profile === 'matrix',
      });
      for (problem of cases) {
        const trial = harness.prepare(kernel, problem, device, seed + done);
        for (const poison of poisons)
          worst = Math.max(worst, await harness.compare(kernel, trial as never, device, poison));
        done++;
      }
      emit({ ...row, passed: true, cases: done, worst });
    } catch (error) {
      emit({
        ...row,
        passed: false,
        cases: done,
        failure: `${reason(error)}; case ${JSON.stringify(problem)}, seed ${seed}`,
      });
      // An error that the GPU reported sticks to its device.
      device?.dispose();
      device = null;
    }
  }
  device?.dispose();
}
