// A case of an op on a trace: its outputs weighed at random and summed to a loss, and the gradients of that loss.
import { elementwiseScale } from '../../kernels/elementwise/elementwise.ts';
import { NN } from '../../kernels/gemm/gemm.ts';
import type { AdapterTraits, Profile } from '../../kernels/kernel.ts';
import { random } from '../../kernels/random/random.ts';
import { defineOp } from '../op.ts';
import { add } from '../ops/elementwise.ts';
import { product } from '../ops/product.ts';
import { type ReferenceMemory, runReference } from '../reference.ts';
import { numel, Slab, type Tensor, Variable } from '../tensor.ts';
import { Trace } from '../trace.ts';
import type { OpCase } from './case.ts';

/** (1): the sum of x weighed by w, elements in order. Non-constant upstream gradients come from it. */
export const weigh = defineOp('weigh', {
  forward(t, { x, w }: { x: Tensor; w: Tensor }, _: Record<never, never>) {
    const n = numel(x.shape);
    const { c } = product(t, { a: x, b: w, m: 1, n: 1, k: n, LAYOUT: NN });
    return { out: { sum: c.reshape(1) }, saved: { w, n, shape: x.shape } };
  },
  backward: (t, { sum }, { w, n, shape }) => ({
    x: t.run(elementwiseScale, { x: w, s: sum }, { n }).y.reshape(...shape),
    w: null,
  }),
});

const isFloat = (x: Tensor): boolean => x.dtype === 'f32';

/** (1): the float outputs weighed by N(0, 1) numbers under `seed`; null where there is none. */
export function weighed(t: Trace, outputs: Record<string, Tensor>, seed: number): Tensor | null {
  const rng = random(seed, 1);
  const sums = Object.values(outputs)
    .filter(isFloat)
    .map((x) => {
      const w = Float32Array.from({ length: numel(x.shape) }, () => rng.normal());
      return weigh({ x, w: t.constant(w, x.shape) }, {}).sum;
    });
  return sums.length ? sums.reduce((a, b) => add({ a, b }, {}).y) : null;
}

/** Records a case; `out.NAME` are its outputs, `d.NAME` the gradients of the weighed sum, which is `loss`. */
export function record(
  t: Trace,
  c: OpCase,
  variables: ReadonlyMap<string, Variable>,
  inputs: Readonly<Record<string, Tensor>>,
  seed: number,
): { outputs: Record<string, Tensor>; loss: Tensor | null } {
  const used = Object.keys(c.inputs).map((name) => [name, inputs[name] ?? t.use(variables.get(name) as Variable)]);
  const out = c.forward(Object.fromEntries(used));
  const outputs = Object.fromEntries(Object.entries(out).map(([name, x]) => [`out.${name}`, x]));
  return { outputs, loss: variables.size ? weighed(t, out, seed) : null };
}

export function withGradients(t: Trace, recorded: ReturnType<typeof record>): Record<string, Tensor> {
  const { outputs, loss } = recorded;
  const grads = loss ? [...t.backward(loss)].map(([v, d]) => [`d.${v.name}`, d] as const) : [];
  return { ...outputs, ...Object.fromEntries(grads) };
}

export const traitsOf = (profile: Profile): AdapterTraits => ({
  profile,
  vendor: 'test',
  subgroupMinSize: 8,
  subgroupMaxSize: 8,
  features: new Set(['subgroups']),
  maxWorkgroupStorageBytes: 16384,
  maxWorkgroupInvocations: 256,
  maxBindingBytes: 2 ** 27,
  matrices: [],
});

/** The case on the host in f64: a loss that can be asked again and again with other numbers, and its gradients. */
export function onHost(c: OpCase, profile: Profile, seed: number) {
  const floats = Object.entries(c.inputs).filter(([, g]) => g.grad);
  const variables = new Map(
    floats.map(([name, g]) => [name, new Variable(name, g.shape, new Slab(name, 'f32', g.data.length), 0, true)]),
  );
  const memory: ReferenceMemory = new Map();
  for (const [name, g] of floats) memory.set((variables.get(name) as Variable).slab, Float64Array.from(g.data));
  const trace = (): { t: Trace; recorded: ReturnType<typeof record> } => {
    const t = new Trace(traitsOf(profile));
    const others = Object.entries(c.inputs).filter(([, g]) => !g.grad);
    const inputs = Object.fromEntries(others.map(([name, g]) => [name, t.input(name, g.shape, g.dtype)]));
    return { t, recorded: record(t, c, variables, inputs, seed) };
  };
  const data = Object.fromEntries(Object.entries(c.inputs).map(([name, g]) => [name, g.data]));
  const forward = trace();
  const both = trace();
  const outputs = withGradients(both.t, both.recorded);
  return {
    /** Live numbers of every variable: change them, then ask for the loss. */
    values: new Map(floats.map(([name]) => [name, memory.get((variables.get(name) as Variable).slab) as Float64Array])),
    loss: (): number => runReference(forward.t, { loss: forward.recorded.loss as Tensor }, data, memory).loss[0],
    run: () => runReference(both.t, outputs, data, memory),
  };
}
