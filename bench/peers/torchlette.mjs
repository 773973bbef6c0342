// torchlette, from a checkout of its sources: it is not published on npm.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deviceName, installGpu } from './gpu.ts';
import { serve } from './serve.ts';
import { attend, trainingStep } from './torchlette.mae.mjs';

installGpu();
const source = (name) => import(pathToFileURL(join(process.env.TORCHLETTE, 'src', name)).href);
const lib = await source('index.ts');
const { Adam } = await source('optim/index.ts');
const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
const { requiredFeatures, requiredLimits } = lib.webgpuDeviceRequirements(adapter);
// It takes subgroups of 32 lanes for granted: with others its norms and attention come out wrong.
const { subgroupMinSize, subgroupMaxSize } = adapter.info;
const features = requiredFeatures.filter(
  (name) => name !== 'subgroups' || (subgroupMinSize === 32 && subgroupMaxSize === 32),
);
const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
if (!(await lib.initWebGPU({ device }))) throw new Error(lib.getWebGPUInitError() ?? 'torchlette found no WebGPU');
const api = new lib.Torchlette('webgpu');

/** Results are lazy: all are asked for, then waited for. */
function operation(compute) {
  let last = null;
  return {
    run: async (times) => {
      for (let i = 0; i < times; i++) {
        last?.dispose();
        last = compute();
        await api._runtime().force(last._unwrap());
      }
      await lib.syncWebGPU();
    },
    read: () => last.cpu(),
    dispose: () => last?.dispose(),
  };
}

serve({
  hello: async () => ({ version: 'torchlette, a checkout of its sources', device: await deviceName() }),
  prepare: async (work, inputs) => {
    const on = (name) => api.tensorFromArray(inputs[name].data, [...inputs[name].shape]);
    if (work.kind === 'step') return trainingStep({ api, Adam, finish: lib.syncWebGPU }, work, inputs);
    if (work.kind === 'gemm') {
      const [a, b] = [on('a'), on('b')];
      return operation(() => api.matmul(a, b));
    }
    if (work.kind === 'layernorm') {
      const [x, w, b] = [on('x'), on('w'), on('b')];
      return operation(() => api.layernorm(x, w, b, work.eps));
    }
    const [q, k, v] = ['q', 'k', 'v'].map((name) => api.contiguous(api.permute(on(name), [0, 2, 1, 3])));
    const made = operation(() => attend(api, q, k, v, work.dim));
    const { batch, heads, tokens, dim } = work;
    const read = async () => {
      const y = await made.read();
      const at = (b, t, h, d) => ((b * heads + h) * tokens + t) * dim + d;
      const index = (i) => [
        Math.floor(i / dim / heads / tokens),
        Math.floor(i / dim / heads) % tokens,
        Math.floor(i / dim) % heads,
        i % dim,
      ];
      return Float32Array.from({ length: batch * heads * tokens * dim }, (_, i) => y[at(...index(i))]);
    };
    return { ...made, read };
  },
});
