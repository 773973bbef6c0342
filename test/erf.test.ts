// The error function and exact GELU: the f64 reference against quadrature, the WGSL library against the reference.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDawn } from '../engine/node/dawn.ts';
import { dgelu, erf, erfc, gelu } from '../kernels/lib/erf.ts';
import library from '../kernels/lib/erf.wgsl';
import { random } from '../kernels/random/random.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);

/** Integral of exp(-t^2) over [from, to] by Simpson's rule. */
function bell(from: number, to: number, steps = 4000): number {
  const h = (to - from) / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    const t = from + i * h;
    sum += (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2) * Math.exp(-t * t);
  }
  return (sum * h) / 3;
}

test('erf and erfc in f64 are the integral, with the relative accuracy of the tail', () => {
  const factor = 2 / Math.sqrt(Math.PI);
  for (let i = 0; i < 300; i++) {
    const x = 7 * rng.uniform();
    const inner = factor * bell(0, x);
    const tail = factor * bell(x, x + 6, 20_000);
    assert.ok(Math.abs(erf(x) - inner) <= 1e-12 * inner, `erf(${x}) is ${erf(x)}, the integral ${inner}; SEED=${seed}`);
    assert.ok(Math.abs(erfc(x) - tail) <= 1e-10 * tail, `erfc(${x}) is ${erfc(x)}, the integral ${tail}; SEED=${seed}`);
    assert.is(erf(-x), -erf(x));
  }
});

test('dgelu in f64 is the slope of gelu', () => {
  for (let i = 0; i < 300; i++) {
    const x = 12 * rng.uniform() - 6;
    const h = 1e-4;
    const slope = (8 * (gelu(x + h) - gelu(x - h)) - (gelu(x + 2 * h) - gelu(x - 2 * h))) / (12 * h);
    assert.ok(Math.abs(dgelu(x) - slope) < 1e-10, `dgelu(${x}) is ${dgelu(x)}, the slope ${slope}; SEED=${seed}`);
  }
});

test('gelu and dgelu on the device are right to f32 rounding, far out too', async () => {
  using device = await openDawn({ profile: 'simt' });
  const { gpu } = device;
  const dense = Float32Array.from({ length: 200_000 }, () => 16 * rng.uniform() - 8);
  const far = [0, -0, 14, -14, 40, -40, 1e10, -1e10, 1e30, -1e30, 1e-30, -1e-30];
  const x = Float32Array.from([...dense, ...far]);
  const code = `${library}
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<vec2<f32>>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) g: vec3<u32>) {
  if (g.x < arrayLength(&x)) { y[g.x] = vec2(gelu(x[g.x]), dgelu(x[g.x])); }
}`;
  const module = gpu.createShaderModule({ code });
  const pipeline = await gpu.createComputePipelineAsync({ layout: 'auto', compute: { module } });
  const input = gpu.createBuffer({ size: x.byteLength, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
  const output = gpu.createBuffer({ size: 2 * x.byteLength, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const back = gpu.createBuffer({ size: 2 * x.byteLength, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  gpu.queue.writeBuffer(input, 0, x);
  const entries = [input, output].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(x.length / 64));
  pass.end();
  encoder.copyBufferToBuffer(output, 0, back, 0, back.size);
  gpu.queue.submit([encoder.finish()]);
  await device.wait(back.mapAsync(GPUMapMode.READ));
  device.check();
  const y = new Float32Array(back.getMappedRange());
  // 3e-7 is 2.5 units in the last place of 1: WGSL grants exp itself 3 + 2 |x|.
  for (let i = 0; i < x.length; i++) {
    for (const [at, f] of [gelu, dgelu].entries()) {
      const want = f(x[i]);
      const error = Math.abs(y[2 * i + at] - want);
      const bound = 3e-7 * Math.max(1, Math.abs(want));
      assert.ok(error <= bound, `${f.name}(${x[i]}) is ${y[2 * i + at]}, the reference says ${want}; SEED=${seed}`);
    }
  }
});

test.run();
