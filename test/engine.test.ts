// The engine's promises about plans, memory, replay and the device, on a tiny masked autoencoder. What is made on the GPU is
// counted at the GPUDevice (support/spy.ts), not by the engine's own counters.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { useDevice } from '../engine/device.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn, UNCHECKED } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { linear } from '../engine/ops/linear.ts';
import type { Plan } from '../engine/plan.ts';
import type { Storage, Tensor } from '../engine/tensor.ts';
import { spyOn } from './support/spy.ts';
import { slice, TINY, tinyBatch, tinyTraining } from './support/tiny.ts';
import { refused } from './support/thrown.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
// None of these promises depends on the profile; simt's programs are the quickest to generate.
const PROFILE = { profile: 'simt', raiseLimits: false } as const;
const device = await openDawn(PROFILE);
const spy = spyOn(device.gpu);
const total = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);
const shapesOf = (batch: number) => ({
  img: [batch, TINY.in_chans, ...TINY.img_size],
  noise: [batch, (TINY.img_size[0] * TINY.img_size[1]) / TINY.patch_size ** 2],
});

test('a wrong call is refused before anything reaches the GPU', async () => {
  const engine = new Engine(device);
  const w = engine.variable('w', [3, 4]);
  const b = engine.variable('b', [3]);
  const program = engine.compile({ x: 'f32' }, ({ x }) => linear({ x, w, b, r: null }, {}));
  const before = { made: { ...spy.made }, bytes: spy.bytes };
  await refused(program.run({ x: { data: new Float32Array(10), shape: [2, 5] } }), /^linear: .*\(2, 5\).*\(3, 4\)/);
  await refused(program.run({ x: { data: new Float32Array(9), shape: [2, 4] } }), /^run: input x .*\(2, 4\) = 8 .* 9/);
  await refused(program.run({ x: { data: new Uint32Array(8), shape: [2, 4] } }), /^run: input x is f32 .*Uint32Array/);
  await refused(program.run({} as never), /^run: input x is missing/);
  assert.throws(() => engine.write(w, new Float32Array(3)), /^.*write: w has 12 elements, got 3/);
  assert.throws(() => engine.write(w, new Int32Array(12)), /write: w is f32 .*Int32Array/);
  assert.equal({ made: { ...spy.made }, bytes: spy.bytes }, before);
  engine.dispose();
});

test('an input may lie in pieces; what they do not fill stays as it was', async () => {
  const engine = new Engine(device);
  const program = engine.compile({ x: 'f32' }, ({ x }) => add({ a: x, b: x }, {}));
  const run = async (...pieces: number[][]) => {
    const given = { pieces: pieces.map((piece) => Float32Array.from(piece)), shape: [6] };
    return Array.from((await (await program.run({ x: given })).read()).y);
  };
  assert.equal(await run([1, 2], [3], [], [4, 5, 6]), [2, 4, 6, 8, 10, 12]);
  assert.equal(await run([7], [8, 9]), [14, 16, 18, 8, 10, 12]);
  await refused(run([1, 2, 3, 4], [5, 6, 7]), /^run: input x says \(6\) = 6 elements, its pieces have 7/);
  engine.dispose();
});

test('a plan knows its cost before it allocates, and that cost is true', async () => {
  const start = { bytes: spy.bytes, buffers: spy.buffers.size, made: { ...spy.made } };
  const engine = new Engine(device);
  const { trainer } = tinyTraining(engine, seed);
  const before = { made: { ...spy.made }, stats: engine.stats };
  const plan = trainer.plan(shapesOf(8));
  assert.equal({ made: { ...spy.made }, stats: engine.stats }, before, 'plan() made something');
  for (let i = 0; i < 3; i++) await (await trainer.step(tinyBatch(8, seed + i), { lr: 1e-3 }))[0].read();
  const allocated = spy.bytes - start.bytes;
  assert.equal(engine.stats, {
    bytes: allocated,
    buffers: spy.buffers.size - start.buffers,
    pipelines: spy.made.createComputePipelineAsync - start.made.createComputePipelineAsync,
    bindGroups: spy.made.createBindGroup - start.made.createBindGroup,
  });
  // Beside the plan: a uniform of 256 bytes at most a dispatch, six bindings that stand for unused ones, rounding.
  assert.ok(
    allocated <= plan.peakBytes + 256 * plan.dispatches + 1024,
    `${allocated} allocated, ${plan.peakBytes} planned`,
  );
  assert.ok(plan.peakBytes <= allocated, `${allocated} allocated, ${plan.peakBytes} planned`);
  assert.ok(plan.traffic > plan.transientBytes);
  engine.dispose();
});

test('dispatches and FLOPs of a linear layer are what its formula says', async () => {
  const engine = new Engine(device);
  const w = engine.variable('w', [5, 7]);
  const b = engine.variable('b', [5]);
  const program = engine.compile({ x: 'f32' }, ({ x }) => linear({ x, w, b, r: null }, {}));
  const plan = program.plan({ x: [3, 7] });
  assert.is(plan.dispatches, 1);
  assert.is(plan.flops, 2 * 3 * 5 * 7);
  assert.is(plan.traffic, 4 * (3 * 7 + 5 * 7 + 5 + 3 * 5));
  assert.is(plan.transientBytes, 64);
  engine.dispose();
});

/** First and last call that touches every transient, found without the planner. */
function lives(plan: Plan): Map<Storage, [number, number]> {
  const spans = new Map<Storage, [number, number]>();
  plan.steps.forEach(({ call }, at) => {
    for (const t of Object.values(call.bindings)) {
      if (t && !t.storage.home) spans.set(t.storage, [spans.get(t.storage)?.[0] ?? at, at]);
    }
  });
  for (const t of Object.values(plan.outputs)) {
    const span = spans.get(t.storage);
    if (span) span[1] = plan.steps.length;
  }
  return spans;
}

test('buffers are shared by lifetime, and never by two that live together', () => {
  const engine = new Engine(device);
  const { trainer, model, keep } = tinyTraining(engine, seed);
  const forward = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    const { loss, pred, mask, latent } = model.forward(img, noise, keep);
    return { loss, pred, mask, latent };
  });
  for (const [plan, most] of [
    [trainer.plan(shapesOf(8)), 0.6],
    [forward.plan(shapesOf(8)), 0.35],
  ] as const) {
    const spans = lives(plan);
    for (const lodged of plan.lodgings.keys()) assert.ok(spans.delete(lodged)); // the next test looks at them
    const housed = plan.rooms.flatMap((r) => r.tenants);
    assert.is(new Set(housed).size, housed.length, 'a storage has one room');
    assert.is(housed.length, spans.size, 'every storage has a room');
    for (const { bytes, tenants } of plan.rooms) {
      for (const [i, a] of tenants.entries()) {
        const [first, last] = spans.get(a) as [number, number];
        assert.ok(bytes >= 4 * a.length);
        for (const b of tenants.slice(i + 1)) {
          const [from, to] = spans.get(b) as [number, number];
          assert.ok(last < from || to < first, `calls ${first} to ${last} and ${from} to ${to} share a buffer`);
        }
      }
    }
    const sum = housed.reduce((bytes, s) => bytes + 4 * s.length, 0);
    assert.is(
      plan.transientBytes,
      plan.rooms.reduce((bytes, r) => bytes + r.bytes, 0),
    );
    assert.ok(plan.transientBytes < most * sum, `${plan.transientBytes} bytes of ${sum} are not well shared`);
    // No plan can do with less than what lives at its fullest moment.
    const alive = plan.steps.map((_, at) => {
      const now = [...spans].filter(([, [first, last]]) => first <= at && at <= last);
      return now.reduce((bytes, [storage]) => bytes + 4 * storage.length, 0);
    });
    const least = Math.max(...alive);
    assert.ok(
      plan.transientBytes >= least && plan.transientBytes < 1.25 * least,
      `${plan.transientBytes}, ${least} live`,
    );
  }
  engine.dispose();
});

/** Throws if `step`, after three calls, makes any GPU object or holds more memory in `times` further ones. */
async function flat(step: (i: number) => Promise<unknown>, times: number): Promise<void> {
  for (let i = 0; i < 3; i++) await step(i);
  const made = { ...spy.made };
  const held = { buffers: spy.buffers.size, bytes: spy.bytes };
  for (let i = 3; i < times; i++) await step(i);
  assert.equal(spy.made, made, 'objects were made after the third step');
  assert.equal({ buffers: spy.buffers.size, bytes: spy.bytes }, held, 'memory grew after the third step');
}

test('plans are cached by shape, and a short last batch is as in an engine of its own', async () => {
  const engine = new Engine(device);
  const { model, keep } = tinyTraining(engine, seed);
  let traced = 0;
  const recorded = (e: Engine, m: typeof model) =>
    e.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }, t) => {
      traced++;
      const { loss, pred } = m.forward(img, noise, keep);
      const grads = [...t.backward(loss)].map(([v, d]): [string, Tensor] => [v.name, d]);
      return { loss, pred, ...Object.fromEntries(grads) } as Record<string, Tensor>;
    });
  const program = recorded(engine, model);
  const whole = tinyBatch(8, seed);
  const short = slice(tinyBatch(8, seed + 1), 0, 5);
  const alternate = async (i: number) => (await program.run(i % 2 ? short : whole)).read();
  const transients = () => [...spy.buffers].filter((b) => b.label === 'transient').length;
  const held = transients();
  await program.run(whole);
  const lent = transients();
  assert.ok(lent > held);
  await flat(alternate, 8);
  assert.ok(transients() <= 1.1 * lent, 'a smaller batch works in the buffers of the larger one');
  assert.is(traced, 2, 'one trace a shape');
  const after = await alternate(1);
  const fresh = new Engine(device);
  const alone = await (await recorded(fresh, tinyTraining(fresh, seed).model).run(short)).read();
  assert.equal(after, alone, 'bit for bit');
  // And it is the mean over its own five images: the first four and the last, weighed by their removed patches.
  const one = async (from: number, to: number) =>
    (await (await program.run(slice(short, from, to))).read()).loss[0] as number;
  const mean = (4 * (await one(0, 4)) + (await one(4, 5))) / 5;
  assert.ok(Math.abs(mean - after.loss[0]) < 1e-5 * mean, `${mean} ${after.loss[0]}`);
  engine.dispose();
  fresh.dispose();
});

test('runs that nobody awaits keep their own inputs, in order, and are read at any time', async () => {
  const engine = new Engine(device);
  const sum = engine.variable('sum', [1], { data: Float32Array.of(0) });
  const program = engine.compile({ x: 'f32' }, ({ x }, t) => {
    const { y } = add({ a: x, b: sum }, {});
    t.store(sum, y);
    return { y, x };
  });
  const numbers = Array.from({ length: 20 }, (_, i) => i + (seed % 5));
  const started = numbers.map((n) => program.run({ x: { data: Float32Array.of(n), shape: [1] } }));
  const results = await Promise.all(started);
  let want = 0;
  for (const [i, result] of results.entries()) {
    const { x, y } = await result.read();
    want += numbers[i];
    assert.equal([x[0], y[0]], [numbers[i], want]);
  }
  assert.equal(Array.from(await engine.read(sum)), [want]);
  engine.dispose();
});

test('dispose gives back every buffer; a device that was passed in goes on living', async () => {
  const before = spy.buffers.size;
  const borrowed = await useDevice(device.gpu, { wait: device.wait });
  {
    using engine = new Engine(borrowed);
    const { trainer } = tinyTraining(engine, seed);
    await (await trainer.step(tinyBatch(4, seed), { lr: 1e-3 }))[0].read();
    assert.ok(spy.buffers.size > before);
  }
  borrowed.dispose();
  assert.is(spy.buffers.size, before);
  const still = await Promise.race([
    device.gpu.lost.then(() => 'lost'),
    new Promise((r) => setTimeout(r, 50, 'alive')),
  ]);
  assert.is(still, 'alive');
  const engine = new Engine(device);
  const v = engine.variable('v', [2], { data: Float32Array.of(1, 2) });
  assert.equal(Array.from(await engine.read(v)), [1, 2]);
  engine.dispose();
});

test('an uncaptured GPU error ends the work and is named', async () => {
  using own = await openDawn(PROFILE);
  const engine = new Engine(own);
  const program = engine.compile({ x: 'f32' }, ({ x }) => add({ a: x, b: x }, {}));
  const x = { data: Float32Array.of(1), shape: [1] };
  assert.equal(Array.from((await (await program.run({ x })).read()).y), [2]);
  own.gpu.createBuffer({ label: 'planted', size: 4, usage: 1 | 128 }); // MAP_READ goes with COPY_DST alone
  await engine.finish().catch(() => undefined);
  await refused(program.run({ x }), /^GPU error: .*/);
  await refused(engine.finish(), /^GPU error: .*/);
});

test("without Dawn's checks a step gives the same bits", async () => {
  const losses = async (toggles: readonly string[]): Promise<number[]> => {
    using other = await openDawn({ ...PROFILE, toggles });
    using engine = new Engine(other);
    const { trainer } = tinyTraining(engine, seed);
    const found: number[] = [];
    for (let i = 0; i < 3; i++) {
      const [result] = await trainer.step(tinyBatch(8, seed + i), { lr: 1e-3 });
      found.push((await result.read()).loss[0]);
    }
    return found;
  };
  assert.equal(await losses(UNCHECKED), await losses([]));
});

test('nothing went wrong unseen', async () => {
  await device.wait(device.gpu.queue.onSubmittedWorkDone());
  device.check();
  assert.ok(total(spy.made) > 0);
  device.dispose();
});
test.run();
