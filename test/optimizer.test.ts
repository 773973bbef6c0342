// AdamW on the device beside AdamW written out in f64; accumulated gradients; the same bits from the same seed.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { useDevice } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { AdamW } from '../engine/optim/adamw.ts';
import { Parameters } from '../engine/parameters.ts';
import type { Tensor, Variable } from '../engine/tensor.ts';
import { weigh } from '../engine/testing/gradient.ts';
import { relative } from './support/relative.ts';
import { slice, tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const device = await openDawn({ profile: 'simt', raiseLimits: false });

const norm = (v: Float64Array): number => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));

interface Group {
  weightDecay: number;
  lrScale: number;
}

/** Decoupled weight decay and global-norm clipping as torch states them, in f64. */
function adamwInF64(p: Map<string, Float64Array>, groupOf: (name: string) => Group, clipNorm: number | null) {
  const [beta1, beta2, eps] = [0.9, 0.95, 1e-8];
  const zeros = () => new Map([...p].map(([name, v]) => [name, new Float64Array(v.length)]));
  const [m, v] = [zeros(), zeros()];
  let t = 0;
  return (grads: Map<string, Float32Array>, lr: number): number => {
    t++;
    let squares = 0;
    for (const g of grads.values()) for (const x of g) squares += x * x;
    const total = Math.sqrt(squares);
    const clip = clipNorm === null ? 1 : Math.min(1, clipNorm / (total + 1e-6));
    for (const [name, g] of grads) {
      const { weightDecay, lrScale } = groupOf(name);
      const [values, first, second] = [p.get(name), m.get(name), v.get(name)] as Float64Array[];
      for (let i = 0; i < g.length; i++) {
        const grad = g[i] * clip;
        values[i] -= lr * lrScale * weightDecay * values[i];
        first[i] = beta1 * first[i] + (1 - beta1) * grad;
        second[i] = beta2 * second[i] + (1 - beta2) * grad * grad;
        const update = first[i] / (1 - beta1 ** t) / (Math.sqrt(second[i] / (1 - beta2 ** t)) + eps);
        values[i] -= lr * lrScale * update;
      }
    }
    return total;
  };
}

/** Sizes around the 64 elements at which parameters are aligned. */
const SIZES = { one: 1, edge: 64, over: 65, matrix: 300, under: 127 };
const groupOf = (name: string): Group =>
  name === 'one' ? { weightDecay: 0, lrScale: 1 } : { weightDecay: 0.05, lrScale: name === 'matrix' ? 0.25 : 1 };

/** 20 steps whose gradients are their inputs, since the loss is <parameter, input>. */
async function adamwSteps(engine: Engine, clipNorm: number | null): Promise<number> {
  const rng = random(seed, clipNorm ? 1 : 2);
  const draw = (n: number, scale = 1) => Float32Array.from({ length: n }, () => scale * rng.normal());
  const specs = Object.entries(SIZES).map(([name, n]) => ({ name, shape: [n], trainable: true }));
  const parameters = new Parameters(engine, 'p', specs);
  const start = new Map(specs.map(({ name, shape }) => [name, draw(shape[0])]));
  parameters.load(start);
  const optimizer = new AdamW(parameters, {
    betas: [0.9, 0.95],
    clipNorm: clipNorm ?? undefined,
    group: (v) => groupOf(v.name),
  });
  const types = Object.fromEntries(specs.map(({ name }) => [name, 'f32' as const]));
  const program = engine.compile(types, (inputs, t) => {
    const terms = Object.entries(inputs).map(([name, w]) => weigh({ x: parameters.get(name), w }, {}).sum);
    const loss = terms.reduce((a, b) => add({ a, b }, {}).y);
    optimizer.accumulate(t, t.backward(loss), true);
    const norm = optimizer.update(t);
    return (norm ? { loss, norm } : { loss }) as Record<string, Tensor>;
  });
  const want = new Map([...start].map(([name, v]) => [name, Float64Array.from(v)]));
  const plain = adamwInF64(want, groupOf, clipNorm);
  let clipped = 0;
  for (let step = 0; step < 20; step++) {
    // Rates and gradient sizes that change from step to step: some are clipped, some are not.
    const lr = Math.fround(0.02 * (1 + Math.sin(step)));
    const grads = new Map(specs.map(({ name, shape }) => [name, draw(shape[0], 0.02 * (1 + (step % 5)))]));
    optimizer.setLearningRate(lr);
    const inputs = Object.fromEntries([...grads].map(([name, data]) => [name, { data, shape: [data.length] }]));
    const { norm } = await (await program.run(inputs)).read();
    const expected = plain(grads, lr);
    if (clipNorm !== null) {
      assert.ok(Math.abs(norm[0] - expected) < 1e-5 * expected, `norm ${norm[0]}, in f64 ${expected}`);
      clipped += Number(expected > clipNorm);
    }
  }
  const got = await parameters.read();
  for (const [name, values] of want) {
    const read = got.get(name) as Float32Array;
    // What was learned, not only what was there; beside rounding of values around 1, twenty times.
    const begun = start.get(name) as Float32Array;
    const [off, moved] = [norm(values.map((v, i) => v - read[i])), norm(values.map((v, i) => v - begun[i]))];
    assert.ok(
      off < 2e-5 * moved + 1e-6 * Math.sqrt(values.length),
      `${name} is off by ${off}, having moved by ${moved}`,
    );
    assert.ok(moved > 0);
  }
  assert.equal(Array.from(await engine.read(optimizer.step)), [20]);
  if (clipNorm !== null) assert.ok(clipped > 0 && clipped < 20, 'some steps must be clipped and some not');
  return parameters.slabs.length;
}

for (const clipNorm of [null, 1.5]) {
  test(`20 steps are those of AdamW in f64 ${clipNorm ? 'clipped' : 'unclipped'}`, async () => {
    using engine = new Engine(device);
    assert.is(await adamwSteps(engine, clipNorm), 1);
  });
}

test('and so when parameters fill several slabs, as large models do at the default limits', async () => {
  // A device that says it binds 400 elements at most.
  const limits = { ...limitsOf(device.gpu), maxStorageBufferBindingSize: 1600 };
  const small = new Proxy(device.gpu, {
    get: (gpu, name) => {
      if (name === 'limits') return limits;
      const value = Reflect.get(gpu, name, gpu);
      return typeof value === 'function' ? value.bind(gpu) : value;
    },
  });
  const narrow = await useDevice(small, { profile: 'simt', wait: device.wait });
  using engine = new Engine(narrow);
  assert.is(await adamwSteps(engine, 1.5), 3);
});

function limitsOf(gpu: GPUDevice): Record<string, number> {
  const all: Record<string, number> = {};
  for (const name in gpu.limits) all[name] = (gpu.limits as unknown as Record<string, number>)[name];
  return all;
}

test('two half batches accumulated are one whole batch', async () => {
  using engine = new Engine(device);
  const batch = tinyBatch(8, seed);
  const gradients = async (parts: number): Promise<Map<string, Float32Array>> => {
    const { optimizer, trainer } = tinyTraining(engine, seed);
    const list = Array.from({ length: parts }, (_, i) => slice(batch, (8 / parts) * i, (8 / parts) * (i + 1)));
    const results = await trainer.step(list, { lr: 0 });
    assert.is(results.length, parts);
    const kept = [...optimizer.gradients].map(
      async ([v, g]) => [v.name, Float32Array.from(await engine.read(g))] as const,
    );
    return new Map(await Promise.all(kept));
  };
  const whole = await gradients(1);
  for (const parts of [2, 4]) {
    const sums = await gradients(parts);
    for (const [name, want] of whole) {
      // The K third of a qkv bias has an exactly zero gradient: rounding noise is all there is.
      const noise = name.endsWith('qkv.bias') ? 1e-4 : 2e-6;
      assert.ok(
        relative(sums.get(name) as Float32Array, want) < noise,
        `${name} in ${parts} parts: ${relative(sums.get(name) as Float32Array, want)}`,
      );
    }
  }
});

test('a parameter without a gradient gets 0, not the one of the step before', async () => {
  using engine = new Engine(device);
  const specs = ['a', 'b'].map((name) => ({ name, shape: [3], trainable: true }));
  const parameters = new Parameters(engine, 'p', specs);
  parameters.load(new Map(specs.map(({ name }) => [name, new Float32Array(3)])));
  const optimizer = new AdamW(parameters, { clipNorm: 100 });
  const step = (names: string[]) =>
    engine.compile({ w: 'f32' }, ({ w }, t) => {
      const terms = names.map((name) => weigh({ x: parameters.get(name), w }, {}).sum);
      optimizer.accumulate(t, t.backward(terms.reduce((a, b) => add({ a, b }, {}).y)), true);
      return { norm: optimizer.update(t) as Tensor };
    });
  const w = { data: Float32Array.of(3, 0, 4), shape: [3] };
  const norm = async (names: string[]) => (await (await step(names).run({ w })).read()).norm[0] as number;
  assert.ok(Math.abs((await norm(['a', 'b'])) - Math.sqrt(50)) < 1e-5);
  assert.is(await norm(['a']), 5);
  assert.equal(Array.from(await engine.read(optimizer.gradients.get(parameters.get('b')) as Variable)), [0, 0, 0]);
});

test('same seed, same bits after ten steps', async () => {
  const finish = async (): Promise<Uint32Array[]> => {
    using engine = new Engine(device);
    const { model, optimizer, trainer } = tinyTraining(engine, seed, { clipNorm: 0.5 });
    for (let i = 0; i < 10; i++) await trainer.step([tinyBatch(4, seed + i), tinyBatch(3, seed - i)], { lr: 1e-3 * i });
    const kept = [...(await model.parameters.read()).values()];
    for (const v of [...optimizer.slots.m.values(), ...optimizer.slots.v.values()])
      kept.push(Float32Array.from(await engine.read(v)));
    return kept.map((data) => new Uint32Array(data.buffer));
  };
  const [first, second] = [await finish(), await finish()];
  assert.ok(first.some((words) => words.some((w) => w !== 0)));
  assert.equal(first, second);
});

test('nothing went wrong unseen', () => {
  device.check();
  device.dispose();
});
test.run();
