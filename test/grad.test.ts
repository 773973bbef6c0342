// Every op, forward and backward, on Dawn beside the f64 reference: random ugly shapes, WebGPU's default limits, both
// profiles, and the same bits whatever the shared buffers held before (NaN, 1e30, 0).
// The references themselves pass finite differences in fast/gradcheck.test.ts. `OP=linear SEED=1` repeats one op, ROUNDS=50
// tries more shapes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Profile } from '../kernels/kernel.ts';
import { random } from '../kernels/random/random.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import type { HostData } from '../engine/tensor.ts';
import type { OpCase } from '../engine/testing/case.ts';
import { onHost } from '../engine/testing/gradient.ts';
import { agree, caseOn } from '../engine/testing/on-device.ts';
import { ROWS } from './support/op-rows.ts';
import { type Spy, spyOn } from './support/spy.ts';

const POISONS = [Number.NaN, 1e30, 0] as const;
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

/** Outputs and gradients of the case on the device, after every poison. */
async function onDawn(engine: Engine, spy: Spy, c: OpCase, seed: number): Promise<Record<string, ArrayLike<number>>> {
  const run = caseOn(engine, c, seed);
  // Builds the plan and its buffers, so that there is something to poison.
  const outputs = await run();
  const first = bits(outputs);
  for (const poison of POISONS) {
    assert.ok(spy.fill('transient', poison) > 0, 'there is nothing to poison');
    const again = bits(await run());
    for (const [name, words] of Object.entries(first)) {
      assert.equal(again[name], words, `${name} depends on what its buffers held before: ${poison}`);
    }
  }
  return outputs;
}

const bits = (outputs: Record<string, HostData>): Record<string, Uint32Array> =>
  Object.fromEntries(Object.entries(outputs).map(([k, v]) => [k, new Uint32Array(v.slice().buffer)]));

for (const profile of ['simt', 'cpu'] as const satisfies Profile[]) {
  const device = openDawn({ profile, raiseLimits: false });
  const tools = device.then((d) => ({ spy: spyOn(d.gpu), engine: new Engine(d) }));
  for (const [i, row] of ROWS.entries()) {
    if (process.env.OP && process.env.OP !== row.op) continue;
    test(`${row.op} ${row.label} on ${profile}`, async () => {
      const { engine, spy } = await tools;
      for (let round = 0; round < ROUNDS; round++) {
        const seed = base + 1000 * i + round;
        const c = row.draw(random(seed));
        try {
          const got = await onDawn(engine, spy, c, seed);
          const want = onHost(c, profile, seed).run();
          assert.equal(Object.keys(got).sort(), Object.keys(want).sort());
          for (const [name, values] of Object.entries(want)) agree(name, got[name], values);
        } catch (error) {
          const shapes = Object.entries(c.inputs).map(([name, g]) => `${name} (${g.shape})`);
          const where = `${shapes.join(', ')}; SEED=${base}, round ${round}`;
          throw new Error(`${(error as Error).message}; ${where}`, { cause: error });
        }
      }
    });
  }
  test(`nothing went wrong unseen on ${profile}`, async () => {
    const { engine } = await tools;
    await engine.finish();
    engine.dispose();
    engine.device.dispose();
  });
}
test.run();
