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
import { Parameters } from '../engine/parameters.ts';
import { ARRAYS, type HostData, type HostTensor } from '../engine/tensor.ts';
import { onHost, record, withGradients } from './support/gradient.ts';
import { type Given, type OpCase, ROWS } from './support/op-rows.ts';
import { type Spy, spyOn } from './support/spy.ts';

const POISONS = [Number.NaN, 1e30, 0] as const;
const ROUNDS = Number(process.env.ROUNDS ?? 3);
const base = Number(process.env.SEED ?? Date.now() % 2 ** 31);

const onDevice = (g: Given): HostTensor => ({
  shape: g.shape,
  data: ARRAYS[g.dtype as keyof typeof ARRAYS].from(g.data),
});

/** Outputs and gradients of the case on the device, after every poison. */
async function onDawn(engine: Engine, spy: Spy, c: OpCase, seed: number): Promise<Record<string, ArrayLike<number>>> {
  const floats = Object.entries(c.inputs).filter(([, g]) => g.grad);
  const others = Object.entries(c.inputs).filter(([, g]) => !g.grad);
  const specs = floats.map(([name, { shape }]) => ({ name, shape, trainable: true }));
  const parameters = new Parameters(engine, 'case', specs);
  parameters.load(new Map(floats.map(([name, g]) => [name, Float32Array.from(g.data)])));
  const types = Object.fromEntries(others.map(([name, g]) => [name, g.dtype]));
  const program = engine.compile(types, (inputs, t) =>
    withGradients(t, record(t, c, parameters.variables, inputs, seed)),
  );
  const given = Object.fromEntries(others.map(([name, g]) => [name, onDevice(g)]));
  // Builds the plan and its buffers, so that there is something to poison.
  const outputs = await (await program.run(given)).read();
  const first = bits(outputs);
  for (const poison of POISONS) {
    assert.ok(spy.fill('transient', poison) > 0, 'there is nothing to poison');
    const again = bits(await (await program.run(given)).read());
    for (const [name, words] of Object.entries(first)) {
      assert.equal(again[name], words, `${name} depends on what its buffers held before: ${poison}`);
    }
  }
  return outputs;
}

const bits = (outputs: Record<string, HostData>): Record<string, Uint32Array> =>
  Object.fromEntries(Object.entries(outputs).map(([k, v]) => [k, new Uint32Array(v.slice().buffer)]));

/** Integers exactly; floats to 1e-4 in relative norm and each to 2e-3 of itself or of the tensor's typical size. */
function agree(name: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  assert.is(got.length, want.length);
  let norm = 0;
  let off = 0;
  for (let i = 0; i < want.length; i++) {
    norm += want[i] ** 2;
    off += (got[i] - want[i]) ** 2;
  }
  const rms = Math.sqrt(norm / Math.max(1, want.length));
  assert.ok(Math.sqrt(off) <= 1e-4 * Math.sqrt(norm) + 1e-6, `${name}: relative error ${Math.sqrt(off / norm)}`);
  for (let i = 0; i < want.length; i++) {
    const bound = want instanceof Float64Array ? 2e-3 * Math.max(rms, Math.abs(want[i])) + 1e-6 : 0;
    assert.ok(Math.abs(got[i] - want[i]) <= bound, `${name}[${i}] is ${got[i]}, the reference says ${want[i]}`);
  }
}

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
