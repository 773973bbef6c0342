// One kernel on the device beside its reference: what `tesserae doctor` does for the catalogue, for any kernel.
import { type AnyKernel, type Settings, storedAs } from '../../kernels/kernel.ts';
import { random } from '../../kernels/random/random.ts';
import { resolve } from '../../kernels/restate.ts';
import type { Engine } from '../engine.ts';
import { throughHalves } from '../half.ts';
import { cast } from '../ops/cast.ts';
import { runReference } from '../reference.ts';
import { ARRAYS, type DType, type HostData, numel, type Shape, type Tensor } from '../tensor.ts';
import type { Trace } from '../trace.ts';

/** Of outputs that are stored as f16. */
const HALF_TOLERANCE = 1e-3;

/**
 * Runs one problem of a kernel with random inputs on the device, beside its f64 reference.
 * @returns the worst error over the tolerance (the kernel's own, absolute and relative together): at most 1 where all is right
 */
export async function checkKernel(engine: Engine, kernel: AnyKernel, problem: Settings, seed = 0): Promise<number> {
  const shapes = kernel.shapes(problem as never) as Record<string, Shape | null>;
  const given = kernel.inputs?.(problem as never, random(seed, 1)) ?? {};
  const rng = random(seed);
  const { halfOperands } = resolve(kernel, problem, engine.device.traits).variant;
  const types: Record<string, DType> = {};
  const inputs: Record<string, { data: HostData; shape: Shape }> = {};
  for (const [name, { access, type }] of Object.entries(kernel.bindings) as [
    string,
    { access: string; type: keyof typeof ARRAYS },
  ][]) {
    const shape = shapes[name];
    if (!shape || (access === 'read_write' && !kernel.inout.includes(name))) continue;
    const drawn = given[name] ?? Float32Array.from({ length: numel(shape) }, () => rng.normal());
    const halved = storedAs(kernel, name, problem) === 'f16' || (type === 'f32' && halfOperands);
    const numbers = halved ? throughHalves(drawn) : drawn;
    types[name] = type;
    inputs[name] = { shape, data: ARRAYS[type].from(numbers) };
  }
  const record = (tensors: Record<string, Tensor>, t: Trace): Record<string, Tensor> => {
    const given = Object.entries(tensors).map(([n, x]) => [n, cast(t, x, storedAs(kernel, n, problem))] as const);
    const out = t.dispatch(kernel, Object.fromEntries(given), problem as never) as Record<string, Tensor>;
    const updated = given.filter(([n]) => kernel.inout.includes(n));
    const all = [...Object.entries(out), ...updated].map(([n, x]) => [n, x.dtype === 'f16' ? cast(t, x, 'f32') : x]);
    return Object.fromEntries(all);
  };
  const program = engine.compile(types, record);
  const { trace, outputs } = program.trace(
    Object.fromEntries(Object.entries(inputs).map(([n, { shape }]) => [n, shape])),
  );
  const numbers = Object.fromEntries(Object.entries(inputs).map(([n, { data }]) => [n, data]));
  const want = runReference(trace, outputs, numbers);
  const got = await (await program.run(inputs)).read();
  const { variant } = resolve(kernel, problem, engine.device.traits);
  const tolerance = (name: string): number =>
    Math.max(
      kernel.tolerance ?? 1e-5,
      variant.tolerance,
      storedAs(kernel, name, problem) === 'f16' ? HALF_TOLERANCE : 0,
    );
  return Math.max(...Object.keys(want).map((name) => excess(got[name], want[name], tolerance(name))));
}

function excess(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): number {
  const exact = !(want instanceof Float64Array);
  let squares = 0;
  for (let i = 0; i < want.length; i++) squares += want[i] ** 2;
  const scale = 1 + Math.sqrt(squares / Math.max(1, want.length));
  let worst = 0;
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    const bound = exact ? 0 : tolerance * (scale + Math.abs(want[i]));
    const over = error === 0 ? 0 : error / bound;
    worst = over <= worst ? worst : over; // NaN is worse than any number
  }
  return worst;
}
