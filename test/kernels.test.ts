// Every kernel of the catalogue, at every case, in the profiles cpu and simt (matrix.test.ts has matrix), against its f64 reference:
// fresh random inputs, WebGPU's default limits, buffers poisoned with NaN, 1e30 and 0.
// `KERNEL=gemm node … test/kernels.test.ts` runs one room.
import { test } from 'uvu';
import { openDawn } from '../engine/node/dawn.ts';
import { catalogue, PROFILES, type Settings, type Variant } from '../kernels/index.ts';
import { compare, POISONS, prepare } from './support/kernel-run.ts';

const only = process.env.KERNEL;
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

/** Subgroup matrices bring subgroups along. */
const NO_SUBGROUPS = ['subgroups', 'chromium-experimental-subgroup-matrix'];

/** Whether a chain tries subgroups first and has something else for adapters without them. */
function withoutSubgroups(head: Variant | null | undefined): boolean {
  const chain: Variant[] = [];
  for (let v = head; v; v = v.otherwise) chain.push(v);
  return chain.some((v) => v.needs.includes('subgroups')) && chain.some((v) => !v.needs.includes('subgroups'));
}

for (const kernel of catalogue.filter((k) => !only || k.name.startsWith(only))) {
  const halves = (kernel.cases as readonly Settings[]).filter((c) => Object.values(kernel.half).some((o) => o && c[o]));
  const runs = [
    ...PROFILES.filter((p) => p !== 'matrix' && kernel.variants[p]).map((p) => ({
      profile: p,
      without: [],
      cases: kernel.cases,
      what: p,
    })),
    ...(halves.length
      ? [{ profile: 'simt' as const, without: ['shader-f16'], cases: halves, what: 'simt, packed f16' }]
      : []),
    ...(withoutSubgroups(kernel.variants.simt)
      ? [{ profile: 'simt' as const, without: NO_SUBGROUPS, cases: kernel.cases, what: 'simt, no subgroups' }]
      : []),
  ];
  for (const { profile, without, cases, what } of runs) {
    test(`${kernel.name} ${what}`, async () => {
      using device = await openDawn({ profile, without, raiseLimits: false });
      for (const [i, problem] of cases.entries()) {
        try {
          const trial = prepare(kernel, problem as Settings, device, base + i);
          for (const poison of POISONS) await compare(kernel, trial, device, poison);
        } catch (error) {
          throw new Error(`${(error as Error).message}; case ${JSON.stringify(problem)}, SEED=${base}`, {
            cause: error,
          });
        }
      }
    });
  }
}
test.run();
