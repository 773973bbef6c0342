// An application that owns its GPUDevice: what it must ask for, one kernel in its encoder, inference without a readback, and
// nothing left behind.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { borrowKernel } from '../engine/borrow.ts';
import { requirements } from '../engine/adapter.ts';
import { openDevice, useDevice } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { dawn, gently, openDawn } from '../engine/node/dawn.ts';
import { add, gelu } from '../engine/ops/elementwise.ts';
import * as catalogue from '../kernels/index.ts';
import { layernormForward, lossFinish } from '../kernels/index.ts';
import { random } from '../kernels/random/random.ts';
import { lenKeep, patchesOf } from '../mae/model/config.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { spyOn } from './support/spy.ts';
import { refusal } from './support/thrown.ts';
import { TINY, tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const STORAGE = 0x80;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;

/** A device as an application makes it: with the requirements, and a limit of its own. */
async function hostDevice(): Promise<GPUDevice> {
  const adapter = await dawn().requestAdapter();
  assert.ok(adapter);
  return adapter.requestDevice({ label: "the host's", ...requirements(adapter) });
}

async function read(gpu: GPUDevice, from: GPUBuffer, bytes = from.size): Promise<Float32Array> {
  const staging = gpu.createBuffer({ size: bytes, usage: 0x1 | COPY_DST });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(from, 0, staging, 0, bytes);
  gpu.queue.submit([encoder.finish()]);
  await gently(staging.mapAsync(0x1));
  const copy = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return copy;
}

const normals = (n: number, stream: number): Float32Array<ArrayBuffer> => {
  const rng = random(seed, stream);
  return Float32Array.from({ length: n }, () => rng.normal());
};

test('what is listed for the adapter is what openDevice asks for, and the device has it', async () => {
  const gpu = dawn();
  const asked: GPUDeviceDescriptor[] = [];
  const adapter = (await gpu.requestAdapter()) as GPUAdapter;
  const listed = requirements(adapter);
  assert.ok(listed.requiredFeatures.every((name) => adapter.features.has(name)));
  const spied = {
    requestAdapter: async () => {
      const made = (await gpu.requestAdapter()) as GPUAdapter;
      const request = made.requestDevice.bind(made);
      const wrapped = (descriptor: GPUDeviceDescriptor) => {
        asked.push(descriptor);
        return request(descriptor);
      };
      Object.defineProperty(made, 'requestDevice', { value: wrapped });
      return made;
    },
  } as unknown as GPU;
  using device = await openDevice(spied, { wait: gently });
  assert.equal(asked.length, 1);
  assert.equal(asked[0].requiredFeatures, listed.requiredFeatures);
  assert.equal(asked[0].requiredLimits, listed.requiredLimits);
  for (const name of listed.requiredFeatures) assert.ok(device.gpu.features.has(name), name);
  const without = requirements(adapter, { without: ['subgroups'], raiseLimits: false });
  assert.not.ok(without.requiredFeatures.includes('subgroups' as GPUFeatureName));
  assert.equal(without.requiredLimits, {});
});

test('without an adapter it is said how a program gets one', async () => {
  await openDawn({ adapter: 'no such adapter' }).then(
    () => assert.unreachable(),
    ({ name, message }: Error) => {
      assert.is(name, 'TesseraeError');
      assert.match(
        message,
        /^device: no WebGPU adapter found \(.*name: '.*\): npx tesserae doctor says why.* npx tesserae run FILE/,
      );
    },
  );
});

test("one kernel in the application's own encoder, on ranges of its own buffers, beside the reference", async () => {
  const gpu = await hostDevice();
  const device = await useDevice(gpu, { wait: gently });
  const [rows, cols] = [37, 52];
  const kernel = await borrowKernel(device, layernormForward, { rows, cols, eps: 1e-6 });
  assert.equal(kernel.shapes.x, [rows, cols]);
  assert.is(kernel.shapes.r, null);
  assert.is(kernel.bytes.y, rows * cols * 4);
  const inputs = { x: normals(rows * cols, 1), w: normals(cols, 2), b: normals(cols, 3) };
  const OFFSET = 512;
  const make = (bytes: number) => gpu.createBuffer({ size: bytes + OFFSET, usage: STORAGE | COPY_SRC | COPY_DST });
  const buffers = Object.fromEntries(
    Object.entries(kernel.bytes).flatMap(([name, bytes]) => (bytes ? [[name, make(bytes)]] : [])),
  ) as Record<string, GPUBuffer>;
  for (const [name, data] of Object.entries(inputs)) gpu.queue.writeBuffer(buffers[name], OFFSET, data);
  const bound = Object.fromEntries(Object.entries(buffers).map(([name, buffer]) => [name, { buffer, offset: OFFSET }]));
  const group = kernel.bind(bound);
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  kernel.encode(pass, group);
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  const got = (await read(gpu, buffers.y)).subarray(OFFSET / 4);
  const want = kernel.reference(inputs).y as Float64Array;
  assert.is(want.length, rows * cols);
  for (const [i, y] of want.entries())
    assert.ok(Math.abs(got[i] - y) < 1e-4 * (1 + Math.abs(y)), `y[${i}] SEED=${seed}`);
  // Mistakes are told before they reach the device.
  assert.throws(
    () => kernel.bind({ ...bound, w: undefined }),
    /layernorm.forward: w \(52\) needs a buffer of 208 bytes/,
  );
  const small = gpu.createBuffer({ size: 64, usage: STORAGE });
  assert.throws(() => kernel.bind({ ...bound, w: small }), /w \(52\) takes 208 bytes, its buffer has 64/);
  assert.throws(() => kernel.reference({ x: inputs.x }), /the reference needs w \(52\)/);
  kernel.dispose();
  device.check();
  device.dispose();
  gpu.destroy();
});

test('the borrowing of kernels/README.md works as it stands there, at odd sizes, on a device that asked for nothing', async () => {
  const page = readFileSync(new URL('../kernels/README.md', import.meta.url), 'utf8');
  const block = /\*\*Borrow one\.\*\*[\s\S]*?```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const names = /^import \{ (.+) \} from 'tesserae\/kernels';$/m.exec(block)?.[1].split(', ') ?? [];
  const body = `${block.replace(/^import.*$/m, '')}\nreturn { buffers, problem };`;
  const paste = new Function(...names, 'device', 'pass', 'rows', 'cols', body);
  const gpu = await ((await dawn().requestAdapter()) as GPUAdapter).requestDevice();
  for (const [rows, cols] of [
    [1, 1],
    [37, 53],
    [3, 769],
  ]) {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    gpu.pushErrorScope('validation');
    const kernels: Record<string, unknown> = catalogue;
    const { buffers, problem } = paste(...names.map((name) => kernels[name]), gpu, pass, rows, cols);
    pass.end();
    const inputs = { x: normals(rows * cols, 1), w: normals(cols, 2), b: normals(cols, 3) };
    for (const [name, data] of Object.entries(inputs)) gpu.queue.writeBuffer(buffers[name], 0, data);
    gpu.queue.submit([encoder.finish()]);
    assert.is(await gently(gpu.popErrorScope()), null);
    const y = new Float64Array(rows * cols);
    const f64 = Object.entries(inputs).map(([name, data]) => [name, Float64Array.from(data)]);
    layernormForward.reference({ ...Object.fromEntries(f64), y, stat: new Float64Array(2 * rows) }, problem);
    const got = await read(gpu, buffers.y);
    for (const [i, want] of y.entries())
      assert.ok(Math.abs(got[i] - want) < 1e-4 * (1 + Math.abs(want)), `${rows} x ${cols}: y[${i}] SEED=${seed}`);
  }
  gpu.destroy();
});

test('an inference in a frame loop leaves its result in a GPUBuffer, and reads nothing back', async () => {
  const gpu = await hostDevice();
  const device = await useDevice(gpu, { wait: gently });
  const engine = new Engine(device);
  const config = TINY;
  const model = new MaskedAutoencoder(engine, config, seed);
  const patches = patchesOf(config);
  const program = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { pred, mask } = model.forward(img, noise, lenKeep(patches, 0.75));
    return { pred, mask };
  });
  const shapes = { img: [1, config.in_chans, ...config.img_size], noise: [1, patches] };
  const { inputs, outputs, encode } = await program.record(shapes);
  assert.is((await program.record(shapes)).outputs, outputs, 'recorded once');
  assert.equal(outputs.mask.shape, [1, patches]);
  const spy = spyOn(gpu);
  const mapped: string[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: the class of buffers has no name in types
  const prototype = Object.getPrototypeOf(outputs.mask.buffer) as any;
  const mapAsync = prototype.mapAsync;
  prototype.mapAsync = function (this: GPUBuffer, ...args: unknown[]) {
    mapped.push(this.label);
    return mapAsync.apply(this, args);
  };
  const frames = Array.from({ length: 4 }, (_, frame) => ({
    img: normals(config.in_chans * config.img_size[0] * config.img_size[1], 10 + frame),
    noise: normals(patches, 20 + frame),
  }));
  const shown: GPUBuffer[] = [];
  for (const { img, noise } of frames) {
    gpu.queue.writeBuffer(inputs.img, 0, img);
    gpu.queue.writeBuffer(inputs.noise, 0, noise);
    const encoder = gpu.createCommandEncoder();
    encode(encoder);
    // The application's own work on the result, in the same encoder.
    const screen = gpu.createBuffer({ size: outputs.pred.buffer.size, usage: COPY_SRC | COPY_DST });
    encoder.copyBufferToBuffer(outputs.pred.buffer, 0, screen, 0, screen.size);
    gpu.queue.submit([encoder.finish()]);
    shown.push(screen);
  }
  prototype.mapAsync = mapAsync;
  assert.equal(mapped, [], 'nothing was mapped');
  assert.is(spy.made.createBuffer, frames.length, "only the application's own buffers were made");
  for (const [i, { img, noise }] of frames.entries()) {
    const { pred } = await (
      await program.run({ img: { data: img, shape: shapes.img }, noise: { data: noise, shape: shapes.noise } })
    ).read();
    assert.equal(await read(gpu, shown[i], pred.length * 4), pred, `frame ${i} has the bits of run; SEED=${seed}`);
  }
  engine.dispose();
  const encoder = gpu.createCommandEncoder();
  assert.throws(() => encode(encoder), /engine: it was disposed of/);
  device.dispose();
  gpu.destroy();
});

/** All that is made for an application: a model with its training step, a recorded inference, a variable, a borrowed kernel. */
async function useAll(gpu: GPUDevice, withModel: boolean): Promise<void> {
  using device = await useDevice(gpu, { wait: gently });
  using engine = new Engine(device);
  if (withModel) {
    const [{ read }] = await tinyTraining(engine, seed).trainer.step(tinyBatch(2, seed), { lr: 1e-3 });
    assert.ok(Number.isFinite((await read()).loss[0]));
  }
  const v = engine.variable('v', [3], { data: Float32Array.of(1, 2, 3) });
  const program = engine.compile({ x: 'f32' }, ({ x }, t) => ({
    y: add({ a: x, b: gelu({ x: t.use(v) }, {}).y }, {}).y,
  }));
  const { encode } = await program.record({ x: [3] });
  const encoder = gpu.createCommandEncoder();
  encode(encoder);
  gpu.queue.submit([encoder.finish()]);
  const { y } = await (await program.run({ x: { data: Float32Array.of(0, 0, 0), shape: [3] } })).read();
  assert.ok(Math.abs(y[0] - 0.8413447) < 1e-5);
  const kernel = await borrowKernel(device, lossFinish, { count: 12 });
  kernel.dispose();
}

test('a hundred engines come and go, and leave no buffer and no listener; the device is never destroyed', async () => {
  const gpu = await hostDevice();
  const spy = spyOn(gpu);
  let destroyed = 0;
  Object.defineProperty(gpu, 'destroy', { value: () => destroyed++, configurable: true });
  let listeners = 0;
  for (const [name, by] of [
    ['addEventListener', 1],
    ['removeEventListener', -1],
  ] as const) {
    const original = gpu[name].bind(gpu) as (...args: unknown[]) => void;
    Object.defineProperty(gpu, name, {
      value: (...args: unknown[]) => {
        listeners += by;
        original(...args);
      },
    });
  }
  for (let i = 0; i < 100; i++) await useAll(gpu, i % 50 === 0);
  assert.ok(spy.made.createBuffer > 1000);
  assert.is(spy.buffers.size, 0, `left: ${[...spy.buffers].map(({ label }) => label).join(', ')}`);
  assert.is(listeners, 0);
  assert.is(destroyed, 0);
  // And it still works.
  const buffer = gpu.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
  gpu.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4));
  assert.equal(await read(gpu, buffer), Float32Array.of(1, 2, 3, 4));
});

test('after dispose, what was compiled says so and the device sees no error', async () => {
  const gpu = await hostDevice();
  const device = await useDevice(gpu, { wait: gently });
  const engine = new Engine(device);
  const program = engine.compile({ x: 'f32' }, ({ x }) => ({ y: gelu({ x }, {}).y }));
  const x = { data: Float32Array.of(1, 2), shape: [2] };
  await (await program.run({ x })).read();
  engine.dispose();
  const said = 'engine: it was disposed of; make a new one';
  assert.is(await refusal(() => program.run({ x })), said);
  assert.is(await refusal(() => program.run({ x: { data: Float32Array.of(1), shape: [1] } })), said);
  assert.is(await refusal(() => program.record({ x: [2] })), said);
  assert.throws(() => engine.variable('v', [1], { data: Float32Array.of(1) }), said);
  await gently(gpu.queue.onSubmittedWorkDone());
  device.check();
  device.dispose();
  gpu.destroy();
});

test('a device with the defaults of WebGPU does, too', async () => {
  const adapter = (await dawn().requestAdapter()) as GPUAdapter;
  const gpu = await adapter.requestDevice();
  await useAll(gpu, true);
  gpu.destroy();
});

test.run();
