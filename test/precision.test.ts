// Training with f16 products: the losses of f32, overflowed steps that change nothing, and adapters without shader-f16.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device, DeviceOptions } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { LossScale, type LossScaleOptions } from '../engine/optim/lossscale.ts';
import type { Precision } from '../engine/trace.ts';
import { TINY, tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const BATCH = 8;

const devices = new Map<string, Promise<Device>>();
const open = (options: DeviceOptions): Promise<Device> => {
  const key = JSON.stringify(options);
  const device = devices.get(key) ?? openDawn({ raiseLimits: false, ...options });
  devices.set(key, device);
  return device;
};
test.after(async () => {
  for (const device of devices.values()) (await device).dispose();
});

/** Losses of so many steps over four batches that come again and again, learning rate warmed up. */
async function losses(device: Device, precision: Precision, steps: number): Promise<number[]> {
  using engine = new Engine(device, { precision });
  const lossScale = precision === 'f16' ? new LossScale(engine, { interval: 50 }) : undefined;
  const { trainer } = tinyTraining(engine, seed, { lossScale });
  const batches = [0, 1, 2, 3].map((i) => tinyBatch(BATCH, seed + i));
  const found: number[] = [];
  for (let step = 0; step < steps; step++) {
    const [result] = await trainer.step(batches[step % 4], { lr: 1e-3 * Math.min(1, step / 20) });
    found.push((await result.read()).loss[0]);
  }
  if (lossScale) {
    const [scale] = await engine.read(lossScale.scale);
    const [skipped] = await engine.read(lossScale.skipped);
    assert.ok(scale >= 1 && skipped <= steps / 10, `scale ${scale}, ${skipped} of ${steps} steps skipped`);
  }
  return found;
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

test(`300 steps: the loss stays within 1 % of f32's (SEED=${seed})`, async () => {
  const device = await open({});
  const want = await losses(device, 'f32', 300);
  const got = await losses(device, 'f16', 300);
  assert.ok(mean(want.slice(-20)) < 0.8 * want[0], `f32 learned: ${want[0]} to ${want[299]}`);
  assert.ok(
    got.some((loss, i) => loss !== want[i]),
    'f16 is another computation',
  );
  for (let at = 0; at < 300; at += 20) {
    const [a, b] = [mean(got.slice(at, at + 20)), mean(want.slice(at, at + 20))];
    assert.ok(Math.abs(a / b - 1) < 0.01, `steps ${at} to ${at + 19}: ${a} with f16, ${b} with f32`);
  }
});

test(`without shader-f16 halves are packed into words: the same course (SEED=${seed})`, async () => {
  const native = await losses(await open({ profile: 'simt' }), 'f16', 12);
  const packed = await losses(await open({ profile: 'simt', without: ['shader-f16'] }), 'f16', 12);
  for (const [i, loss] of native.entries())
    assert.ok(Math.abs(packed[i] / loss - 1) < 2e-3, `step ${i}: ${packed[i]} and ${loss}`);
});

async function scaled(options: LossScaleOptions, pixels: number) {
  const engine = new Engine(await open({}), { precision: 'f16' });
  const lossScale = new LossScale(engine, options);
  const training = tinyTraining(engine, seed, { lossScale, clipNorm: 1 }, { ...TINY, norm_pix_loss: false });
  const batch = tinyBatch(BATCH, seed);
  for (const [i, x] of batch.img.data.entries()) batch.img.data[i] = pixels * x;
  const state = async () => ({
    scale: (await engine.read(lossScale.scale))[0],
    good: (await engine.read(lossScale.good))[0],
    skipped: (await engine.read(lossScale.skipped))[0],
    updates: (await engine.read(training.optimizer.step))[0],
  });
  const step = async () => {
    const [result] = await training.trainer.step(batch, { lr: 1e-3 });
    return result.read();
  };
  return { engine, ...training, state, step };
}

test(`a step that overflows changes no weight and no moment, and halves the scale until it fits (SEED=${seed})`, async () => {
  const { engine, model, optimizer, state, step } = await scaled({ initial: 2 ** 23, interval: 3 }, 50);
  using _ = engine;
  const before = await model.parameters.read();
  let overflows = 0;
  for (; overflows < 24; overflows++) {
    await step();
    if ((await state()).skipped === overflows) break;
    assert.equal(await state(), { scale: 2 ** (22 - overflows), good: 0, skipped: overflows + 1, updates: 0 });
    assert.equal(await model.parameters.read(), before);
    for (const moment of [...optimizer.slots.m.values()].slice(0, 3))
      assert.ok((await engine.read(moment)).every((x) => x === 0));
  }
  assert.ok(overflows > 0 && overflows < 24, `${overflows} overflows`);
  assert.is((await state()).updates, 1);
  const after = await model.parameters.read();
  const moved = [...after].filter(([name, data]) => data.some((x, i) => x !== before.get(name)![i]));
  assert.ok(moved.length >= model.parameters.trainable.length - 2);
  for (const [name, data] of after)
    assert.ok(
      data.every((x) => Number.isFinite(x)),
      name,
    );
});

test(`good steps double the scale, and the norm that is reported does not carry it (SEED=${seed})`, async () => {
  const { engine, state, step } = await scaled({ initial: 256, interval: 2 }, 1);
  using _ = engine;
  const scales: number[] = [];
  for (let i = 0; i < 5; i++) {
    await step();
    scales.push((await state()).scale);
  }
  assert.equal(scales, [256, 512, 512, 1024, 1024]);
  using plain = new Engine(await open({}));
  const { trainer } = tinyTraining(plain, seed, { clipNorm: 1 }, { ...TINY, norm_pix_loss: false });
  const [result] = await trainer.step(tinyBatch(BATCH, seed), { lr: 1e-3 });
  const want = (await result.read()).norm[0];
  const fresh = await scaled({ initial: 4096 }, 1);
  using __ = fresh.engine;
  const got = (await fresh.step()).norm[0];
  assert.ok(Math.abs(got / want - 1) < 0.01, `norm ${got} with f16, ${want} with f32`);
});

test('what cannot be: a loss scale below 1, f16 on the host, f32 on profile matrix', async () => {
  using engine = new Engine(await open({}), { precision: 'f16' });
  assert.throws(() => new LossScale(engine, { initial: 0.5 }), /initial must be a number of at least 1, got 0.5/);
  assert.throws(() => new LossScale(engine, { interval: 0 }), /interval must be a whole number above 0, got 0/);
  const half = engine.variable('x', [8], { dtype: 'f16' });
  assert.throws(() => engine.write(half, new Float32Array(8)), /x is f16, which stays on the device/);
  const matrix = await open({ profile: 'matrix' });
  assert.throws(() => new Engine(matrix, { precision: 'f32' }), /profile matrix multiplies f16 only/);
  assert.is(new Engine(matrix).precision, 'f16');
});

test.run();
