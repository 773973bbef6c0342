// Mistakes of who borrows a kernel, or writes one: each ends in one line that says what was wrong and what to do, before the device sees it.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Bound, borrowKernel, useDevice } from '../engine/index.ts';
import { dawn, gently, openDawn } from '../engine/node/index.ts';
import { adamwUpdate, defineKernel, gemm, layernormForward, resolve, variant, wgsl } from '../kernels/index.ts';
import { type Mistake, refusal, allRefused } from './support/thrown.ts';

// biome-ignore lint/suspicious/noExplicitAny: what types forbid, programs in JavaScript do
type Any = any;
const device = await openDawn();
const normed = { rows: 3, cols: 4, eps: 1e-6 };

const bound = async (change: (buffers: Record<string, Bound>) => Any): Promise<void> => {
  const kernel = await borrowKernel(device, layernormForward, normed);
  const make = (usage = 0x80) => device.gpu.createBuffer({ size: 512, usage });
  const buffers = { x: make(), w: make(), b: make(), y: make(), stat: make() };
  try {
    kernel.bind({ ...buffers, ...change({ ...buffers, copied: make(0x8) }) });
  } finally {
    kernel.dispose();
    for (const buffer of Object.values(buffers)) buffer.destroy();
  }
};

/** A kernel whose author has written this, in workgroups of so many threads and with so many more bindings than it needs. */
const squared = (body: string, threads = 64, more = 0) =>
  defineKernel({
    name: 'squared',
    variants: {
      simt: variant(
        wgsl<{ x: ['read', 'f32']; y: ['read_write', 'f32'] }, { n: 'u32' }>(`
struct Params { n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // (n)
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // (n)
${Array.from({ length: more }, (_, i) => `@group(0) @binding(${3 + i}) var<storage, read> more${i}: array<f32>; // (n)`).join('\n')}
@compute @workgroup_size(${threads}, 1, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= p.n) { return; }
  ${body}
}`),
        { grid: ({ n }) => [Math.ceil(n / 64), 1, 1] },
      ),
    },
    shapes: ({ n }) => ({ x: [n], y: [n] }),
    flops: ({ n }) => n,
    reference: ({ x, y }) => y.set(x.map((v) => v * v)),
    cases: [{ n: 1 }],
  });

const MISTAKES: readonly Mistake[] = [
  [() => borrowKernel(device.gpu as Any, layernormForward, normed), /^borrowKernel: the first argument is a Device/],
  [() => borrowKernel(device, undefined as Any, normed), /^borrowKernel: the second argument is a kernel/],
  [
    () => borrowKernel(device, layernormForward, { rows: 3 } as Any),
    /^layernorm\.forward: parameter cols is missing, it takes rows, cols, eps$/,
  ],
  [
    () => borrowKernel(device, layernormForward, { ...normed, rows: 2.5 }),
    /parameter rows must be a whole number from 0 to 4294967295, got 2\.5$/,
  ],
  [
    () => borrowKernel(device, layernormForward, { ...normed, rows: 0 }),
    /^layernorm\.forward: nothing to compute at .*: sizes must be above 0$/,
  ],
  [
    () => borrowKernel(device, layernormForward, { ...normed, eps: Number.NaN }),
    /parameter eps must be a number, got NaN$/,
  ],
  [
    () => borrowKernel(device, layernormForward, { ...normed, rows: 2 ** 28 }),
    /this device binds \d+ at most: cut the work into parts$/,
  ],
  [() => borrowKernel(device, gemm, { m: 3, n: 4, k: 5 } as Any), /^gemm: parameter batch is missing/],
  [
    () => borrowKernel(device, adamwUpdate, { n: 100, groupCount: 1 }),
    /^adamw\.update: n must be a multiple of 64, got 100$/,
  ],
  [
    () => resolve(layernormForward as Any, { rows: 3, cols: 4 }, device.traits),
    /^layernorm\.forward: parameter eps is missing/,
  ],
  [() => bound(() => ({ z: null })), /^layernorm\.forward: there is no binding z: they are x, r, w, b, s, y, stat$/],
  [() => bound(() => ({ y: undefined })), /^layernorm\.forward: y \(3, 4\) needs a buffer of 48 bytes$/],
  [() => bound(({ copied }) => ({ y: copied })), /^layernorm\.forward: the buffer of y needs the usage STORAGE$/],
  [
    () => bound(({ x }) => ({ x: { buffer: x, offset: 16 } })),
    /x must begin at a multiple of 256 bytes in its buffer, not at 16$/,
  ],
  [() => bound(({ x }) => ({ x: { buffer: x, offset: 512 } })), /x \(3, 4\) takes 48 bytes, its buffer has 0$/],
  [
    () => borrowKernel(device, squared('y[id.x] = ;'), { n: 3 }),
    /^squared: does not compile on this adapter: line \d+, y\[id\.x\] = ;: \w/,
  ],
  [
    () => borrowKernel(device, squared('y[id.x] = 1u;'), { n: 3 }),
    /^squared: does not compile on this adapter: line \d+, y\[id\.x\] = 1u;: \w/,
  ],
  [
    () => borrowKernel(device, squared('y[id.x] = x[id.x];', 65536), { n: 3 }),
    /^squared: does not compile on this adapter: .*workgroup_size\(65536, 1, 1\)/,
  ],
  [
    () => borrowKernel(device, squared('y[id.x] = x[id.x];', 64, 100), { n: 3 }),
    /^squared: does not compile on this adapter: .*storage buffers.*\(?102\)?/,
  ],
  [
    () => borrowKernel(device, squared('y[id.x] = x[id.x];'), { n: 2 ** 22 + 1 }),
    /^squared: a grid of 65537 x 1 x 1 workgroups, 65535 a dimension at most/,
  ],
];

test('every mistake is told in one line of the house, and none is an error of the device', async () => {
  await allRefused(MISTAKES);
  await gently(device.gpu.queue.onSubmittedWorkDone());
  device.check();
});

test('a range may begin wherever the device lets it', async () => {
  const adapter = (await dawn().requestAdapter()) as GPUAdapter;
  const { minStorageBufferOffsetAlignment: offset } = adapter.limits;
  const gpu = await adapter.requestDevice({ requiredLimits: { minStorageBufferOffsetAlignment: offset } });
  const kernel = await borrowKernel(await useDevice(gpu, { wait: gently }), layernormForward, normed);
  const make = () => ({ buffer: gpu.createBuffer({ size: 512, usage: 0x80 }), offset });
  gpu.pushErrorScope('validation');
  kernel.bind({ x: make(), w: make(), b: make(), y: make(), stat: make() });
  assert.is(await gently(gpu.popErrorScope()), null);
  gpu.destroy();
});

test('what was disposed of says so', async () => {
  const kernel = await borrowKernel(device, layernormForward, normed);
  kernel.dispose();
  assert.match(await refusal(async () => kernel.bind({})), /^layernorm\.forward: it was disposed of; borrow it again$/);
  device.dispose();
});

test.run();
