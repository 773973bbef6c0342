// Everything that reckons with the width of subgroups, on one device: kernels beside their references, and a model's training.
import { readFileSync } from 'node:fs';
import { Engine } from '../../engine/engine.ts';
import type { Device } from '../../engine/device.ts';
import { openDawn } from '../../engine/node/dawn.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { type AnyKernel, catalogue, type Profile, type Settings } from '../../kernels/index.ts';
import { gemm } from '../../kernels/gemm/gemm.ts';
import { random } from '../../kernels/random/random.ts';
import { runConformance } from '../../mae/conformance.ts';
import { makeCase } from './conformance-case.ts';
import { compare, POISONS, prepare, type Trial } from './kernel-run.ts';

export interface Width {
  readonly adapter: string;
  readonly subgroups: readonly [number, number];
  /** Kernels whose text uses subgroups here, by profile. */
  readonly kernels: Readonly<Record<string, string[]>>;
  /** Cases of them that were run. */
  readonly trials: number;
  /** Of activations, gradients, losses of training steps and weights after them, in profile cpu. */
  readonly groups: readonly string[];
  /** Those over their bounds. */
  readonly over: readonly string[];
}

/**
 * @param cases how many of each kernel's cases, drawn by `seed`
 * @param golden a conformance case of an independent implementation; null: a fresh one by the f64 references
 */
export async function checkWidth(
  opened: Device,
  { seed, cases, golden }: { seed: number; cases: number; golden: string | null },
): Promise<Width> {
  const kernels: Record<string, string[]> = {};
  let trials = 0;
  for (const profile of ['cpu', 'simt'] as const) {
    using device = await openDawn({ profile, raiseLimits: false });
    const all = catalogue.map((kernel) => ({ kernel, list: drawn(kernel, profile, device, seed, cases) }));
    const used = all.filter(({ list }) => list.length);
    for (const { kernel, list } of used) for (const trial of list) await compare(kernel, trial, device, Number.NaN);
    kernels[profile] = used.map(({ kernel }) => kernel.name);
    trials += used.reduce((sum, { list }) => sum + list.length, 0);
  }
  using device = await openDawn({ profile: 'cpu', raiseLimits: false });
  using engine = new Engine(device);
  const { groups } = await runConformance(
    engine,
    golden ? parseSafetensors(readFileSync(golden)) : makeCase(engine, seed),
  );
  const { subgroupMinSize, subgroupMaxSize } = opened.traits;
  return {
    adapter: opened.adapter.id,
    subgroups: [subgroupMinSize, subgroupMaxSize],
    kernels,
    trials,
    groups: groups.map(({ group }) => group),
    over: groups
      .filter(({ error, bound }) => !(error <= bound))
      .map((g) => `${g.group}: ${g.worst} is off by ${g.error}`),
  };
}

/** Trials of a kernel that use subgroups in this profile. */
function drawn(kernel: AnyKernel, profile: Profile, device: Device, seed: number, count: number): Trial[] {
  if (!kernel.variants[profile]) return [];
  const rng = random(seed);
  const left = [...(kernel.cases as readonly Settings[])];
  const trials: Trial[] = [];
  while (left.length && trials.length < count) {
    const trial = prepare(kernel, left.splice(rng.below(left.length), 1)[0], device, seed + trials.length);
    if (/\bsubgroup[A-Z_]/.test(trial.program.code)) trials.push(trial);
  }
  return trials;
}

/** Products of the variant for adapters whose loads are dear (gemm.cpuvec.wgsl), all cases that it takes. @returns how many */
export async function checkVectors(_opened: Device, { seed }: { seed: number }): Promise<number> {
  // What tells cheap loads is hidden, so that an adapter that has them runs it, too.
  using device = await openDawn({
    profile: 'cpu',
    without: ['chromium-experimental-subgroup-matrix'],
    raiseLimits: false,
  });
  let trials = 0;
  for (const problem of gemm.cases) {
    const trial = prepare(gemm as unknown as AnyKernel, problem as Settings, device, seed + trials);
    if (!('TV' in trial.program.knobs)) continue;
    for (const poison of POISONS) await compare(gemm as unknown as AnyKernel, trial, device, poison);
    trials++;
  }
  return trials;
}
