// Storing into variables that share a buffer: in place where nothing forbids it, by copies where WebGPU or the order of reads
// does.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { add, gelu } from '../engine/ops/elementwise.ts';
import { AdamW } from '../engine/optim/adamw.ts';
import { Parameters } from '../engine/parameters.ts';
import type { Tensor, Variable } from '../engine/tensor.ts';
import { weigh } from '../engine/testing/gradient.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const device = await openDawn({ profile: 'simt', raiseLimits: false });

/** A slab with variables a, b, c of 64, 3 and 70 elements, at known values. */
function slab(engine: Engine): { parameters: Parameters; values: Record<string, Float32Array> } {
  const rng = random(seed, 4);
  const sizes = { a: 64, b: 3, c: 64 };
  const specs = Object.entries(sizes).map(([name, n]) => ({ name, shape: [n], trainable: true }));
  const parameters = new Parameters(engine, 'p', specs);
  const values = Object.fromEntries(
    specs.map(({ name, shape: [n] }) => [name, Float32Array.from({ length: n }, rng.normal)]),
  );
  parameters.load(new Map(Object.entries(values)));
  return { parameters, values };
}

test('variables that share one gradient each get it, though all lie in one buffer', async () => {
  using engine = new Engine(device);
  const { parameters, values } = slab(engine);
  const optimizer = new AdamW(parameters);
  const [a, b, c] = ['a', 'b', 'c'].map((name) => parameters.get(name));
  const program = engine.compile({ w: 'f32' }, ({ w }, t) => {
    const both = add({ a: add({ a: t.use(a), b: c }, {}).y, b: c }, {}).y;
    const loss = add(
      { a: weigh({ x: both, w }, {}).sum, b: weigh({ x: b, w: t.constant(Float32Array.of(1, 2, 3), [3]) }, {}).sum },
      {},
    ).y;
    optimizer.accumulate(t, t.backward(loss), true);
    return { loss };
  });
  const w = { data: Float32Array.from(values.a, (_, i) => i - 20), shape: [64] };
  await (await program.run({ w })).read();
  const grad = async (v: Variable) => Array.from(await engine.read(optimizer.gradients.get(v) as Variable));
  assert.equal(await grad(a), Array.from(w.data));
  assert.equal(await grad(b), [1, 2, 3]);
  assert.equal(
    await grad(c),
    Array.from(w.data, (x) => 2 * x),
  );
});

test('store: in place where it can be, by a copy where the slab is read or already holds the other', async () => {
  using engine = new Engine(device);
  const { parameters, values } = slab(engine);
  const [a, c] = [parameters.get('a'), parameters.get('c')];
  const dispatches = (fn: (x: Tensor, t: Tensor['trace']) => Record<string, Tensor>) => {
    const program = engine.compile({ x: 'f32' }, ({ x }, t) => fn(x, t));
    return { program, count: program.plan({ x: [64] }).dispatches };
  };
  const x = { data: Float32Array.from(values.a, (_, i) => i / 7), shape: [64] };
  const run = async (p: ReturnType<typeof dispatches>['program']) => (await p.run({ x })).read();
  const doubled = Array.from(x.data, (v) => Math.fround(2 * v));

  const inPlace = dispatches((input, t) => {
    t.store(a, add({ a: input, b: input }, {}).y);
    return { read: add({ a: t.use(a), b: input }, {}).y };
  });
  assert.is(inPlace.count, 2, 'written straight to the variable');
  assert.equal(
    Array.from((await run(inPlace.program)).read),
    Array.from(doubled, (v, i) => Math.fround(v + x.data[i])),
  );
  assert.equal(Array.from(await engine.read(a)), doubled);

  // c is read from the slab by the call that computes what a becomes: that cannot be written there at once.
  const copied = dispatches((input, t) => {
    t.store(a, add({ a: t.use(c), b: input }, {}).y);
    return {};
  });
  assert.is(copied.count, 2);
  await run(copied.program);
  const sum = Array.from(values.c, (v, i) => Math.fround(v + x.data[i]));
  assert.equal(Array.from(await engine.read(a)), sum);

  // One variable to another of the same slab, by way of a transient.
  const moved = dispatches((_, t) => {
    t.store(c, t.use(a));
    return {};
  });
  await run(moved.program);
  assert.equal(Array.from(await engine.read(c)), sum);

  // The old value is read after the new one was computed, before it is stored: it must still be the old one.
  const late = dispatches((input, t) => {
    const y = gelu({ x: input }, {}).y;
    const old = add({ a: t.use(a), b: input }, {}).y;
    t.store(a, y);
    return { old };
  });
  assert.equal(
    Array.from((await run(late.program)).old),
    Array.from(sum, (v, i) => Math.fround(v + x.data[i])),
  );

  // And so where a kernel reads the whole slab: an update of gradients that are all 0 must not see the later one.
  const optimizer = new AdamW(parameters, { group: () => ({ weightDecay: 0.5, lrScale: 1 }) });
  optimizer.setLearningRate(0.5);
  const before = await engine.read(a);
  const early = dispatches((input, t) => {
    const y = add({ a: input, b: input }, {}).y;
    optimizer.update(t);
    t.store(optimizer.gradients.get(a) as Variable, y);
    return {};
  });
  await run(early.program);
  assert.equal(
    Array.from(await engine.read(a)),
    Array.from(before, (v) => Math.fround(0.75 * v)),
    'only decay',
  );
  assert.equal(Array.from(await engine.read(optimizer.gradients.get(a) as Variable)), doubled);
});

test('nothing went wrong unseen', () => {
  device.check();
  device.dispose();
});
test.run();
