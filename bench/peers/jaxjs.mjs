// jax-js on WebGPU or WebAssembly (first argument).
import { deviceName, installGpu, installNavigator } from './gpu.ts';
import { trainingStep } from './jaxjs.mae.mjs';
import { importPeer, version } from './packages.ts';
import { serve } from './serve.ts';

const [, , backend] = process.argv;
if (backend === 'webgpu') installGpu();
else installNavigator();
// Node 20 has no iterator helpers; the library uses two of them.
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
iterators.map ??= function* map(fn) {
  for (const value of this) yield fn(value);
};
iterators.filter ??= function* filter(fn) {
  for (const value of this) if (fn(value)) yield value;
};

const jax = await importPeer('@jax-js/jax');
await jax.init(backend);
jax.defaultDevice(backend);
const { jit, nn, numpy: np } = jax;

/**
 * One compiled function of arrays that stay on the device; `.ref` because a call consumes its arguments. Results are lazy:
 * one that is let go before it was waited for is never computed, so all are kept until the end.
 */
function operation(fn, operands) {
  const compiled = jit(fn);
  let results = [];
  const clear = () => jax.tree.dispose(results.splice(0));
  return {
    run: async (times) => {
      clear();
      results = Array.from({ length: times }, () => compiled(...operands.map((x) => x.ref)));
      await jax.blockUntilReady(results);
    },
    read: () => results[0].ref.data(),
    dispose: () => {
      clear();
      jax.tree.dispose(operands);
    },
  };
}

function layernorm(eps) {
  return (x, w, b) => {
    const centred = x.ref.sub(np.mean(x, -1, { keepdims: true }));
    const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
    return centred
      .div(np.sqrt(variance.add(eps)))
      .mul(w)
      .add(b);
  };
}

serve({
  hello: async () => ({
    version: `@jax-js/jax ${version('@jax-js/jax')}`,
    device: backend === 'webgpu' ? await deviceName() : 'WebAssembly',
  }),
  prepare: async (work, inputs) => {
    const on = (name) => np.array(inputs[name].data, { shape: [...inputs[name].shape] });
    if (work.kind === 'step') return trainingStep(jax, work, inputs, layernorm);
    if (work.kind === 'gemm') return operation((a, b) => np.matmul(a, b), [on('a'), on('b')]);
    if (work.kind === 'layernorm') return operation(layernorm(work.eps), [on('x'), on('w'), on('b')]);
    return operation((q, k, v) => nn.dotProductAttention(q, k, v), [on('q'), on('k'), on('v')]);
  },
});
