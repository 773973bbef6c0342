// Every kernel of the catalogue, at every case, in every profile that this adapter runs, against its f64 reference:
// fresh random inputs, WebGPU's default limits, buffers poisoned with NaN, 1e30 and 0.
// `KERNEL=gemm node … test/kernels.test.ts` runs one room.
import { test } from 'uvu';
import { openDawn } from '../engine/node/dawn.ts';
import { catalogue, PROFILES, type Settings } from '../kernels/index.ts';
import { compare, POISONS, prepare } from './support/kernel-run.ts';

const only = process.env.KERNEL;
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

for (const kernel of catalogue.filter((k) => !only || k.name.startsWith(only))) {
  for (const profile of PROFILES.filter((p) => kernel.variants[p])) {
    test(`${kernel.name} ${profile}`, async () => {
      using device = await openDawn({ profile, raiseLimits: false });
      for (const [i, problem] of kernel.cases.entries()) {
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
