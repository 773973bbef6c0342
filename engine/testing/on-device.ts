// A case of an op on the device: its outputs and gradients in f32, beside what the references say in f64.
import type { Engine } from '../engine.ts';
import { fail } from '../errors.ts';
import { Parameters } from '../parameters.ts';
import { ARRAYS, type HostData, type HostTensor } from '../tensor.ts';
import type { Given, OpCase } from './case.ts';
import { onHost, record, withGradients } from './gradient.ts';

const onDevice = (g: Given): HostTensor => ({
  shape: g.shape,
  data: ARRAYS[g.dtype as keyof typeof ARRAYS].from(g.data),
});

/** Puts a case on the engine; what it gives runs it: `out.NAME` are outputs, `d.NAME` gradients of their weighed sum. */
export function caseOn(engine: Engine, c: OpCase, seed: number): () => Promise<Record<string, HostData>> {
  const floats = Object.entries(c.inputs).filter(([, g]) => g.grad);
  const others = Object.entries(c.inputs).filter(([, g]) => !g.grad);
  const specs = floats.map(([name, { shape }]) => ({ name, shape, trainable: true }));
  const parameters = new Parameters(engine, 'case', specs);
  parameters.load(new Map(floats.map(([name, g]) => [name, Float32Array.from(g.data)])));
  const types = Object.fromEntries(others.map(([name, g]) => [name, g.dtype]));
  const program = engine.compile(types, (inputs, t) =>
    withGradients(t, record(t, c, parameters.variables, inputs, seed)),
  );
  const inputs = Object.fromEntries(others.map(([name, g]) => [name, onDevice(g)]));
  return async () => (await program.run(inputs)).read();
}

/** Integers exactly; floats to 1e-4 in relative norm and each to 2e-3 of itself or of the tensor's typical size. */
export function agree(name: string, got: ArrayLike<number>, want: ArrayLike<number>): void {
  if (got.length !== want.length) fail(`${name} has ${got.length} elements, the reference has ${want.length}`);
  let norm = 0;
  let off = 0;
  for (let i = 0; i < want.length; i++) {
    norm += want[i] ** 2;
    off += (got[i] - want[i]) ** 2;
  }
  const rms = Math.sqrt(norm / Math.max(1, want.length));
  if (!(Math.sqrt(off) <= 1e-4 * Math.sqrt(norm) + 1e-6)) fail(`${name}: relative error ${Math.sqrt(off / norm)}`);
  for (let i = 0; i < want.length; i++) {
    const bound = want instanceof Float64Array ? 2e-3 * Math.max(rms, Math.abs(want[i])) + 1e-6 : 0;
    if (!(Math.abs(got[i] - want[i]) <= bound)) fail(`${name}[${i}] is ${got[i]}, the reference says ${want[i]}`);
  }
}

/**
 * Runs a case, its gradients too, on the engine's device and compares with the kernels' references: the WGSL is what is
 * checked. Together with `gradcheck`, which checks that the references' gradients are right, that is all of an op.
 * @throws TesseraeError `out.y[3] is 0.25, the reference says 0.5`
 */
export async function devicecheck(engine: Engine, c: OpCase, seed = 0): Promise<void> {
  const got = await caseOn(engine, c, seed)();
  const want = onHost(c, engine.device.traits.profile, seed).run();
  for (const [name, values] of Object.entries(want)) agree(name, got[name], values);
}
