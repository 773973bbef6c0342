// AdamW's bias corrections on the device are right to 1e-6 of themselves, however early or late the step: the catalogue's
// absolute tolerance would let 1 - 0.999 be 0.1 % wrong.
import { test } from 'uvu';
import { openDawn } from '../engine/node/dawn.ts';
import { adamwLogs, adamwTick } from '../kernels/adamw/adamw.ts';
import { compare, prepare } from './support/kernel-run.ts';

for (const beta of [0.5, 0.9, 0.95, 0.999, 0.9999]) {
  test(`1 - ${beta}^t`, async () => {
    using device = await openDawn({ raiseLimits: false });
    for (const t of [1, 2, 3, 7, 50, 999, 1001, 123457]) {
      const kernel = {
        ...adamwTick,
        inputs: () => ({ step: [t - 1], hyper: new Float64Array(8) }),
        tolerance: 1e-6 * (1 - beta ** t) * 0.5,
      };
      const problem = adamwLogs({ beta1: beta, beta2: beta });
      await compare(kernel as never, prepare(kernel as never, problem, device, t), device, Number.NaN);
    }
  });
}
test.run();
