// Mistakes of a program that uses the engine: each ends in one line that says what was wrong and what to do, none in a stack trace of
// ours, and none costs the device or a parameter: the same engine goes on.
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  add,
  classTargets,
  crossEntropy,
  Engine,
  gelu,
  type HostTensor,
  layernorm,
  linear,
  openDevice,
  Parameters,
  type Tensor,
  Trainer,
  useDevice,
} from '../engine/index.ts';
import { type Mistake, refusal, allRefused } from './support/thrown.ts';
import { dawn, gently, openDawn } from '../engine/node/index.ts';

// biome-ignore lint/suspicious/noExplicitAny: what types forbid, programs in JavaScript do
type Any = any;
const device = await openDawn();
const engine = new Engine(device);
const halves = (...shape: number[]): HostTensor => ({
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5),
  shape,
});
const of = (engine.compile as Any).bind(engine) as (types: Any, fn: (inputs: Any, t: Any) => Any) => Any;
const half = of({ x: 'f32' }, ({ x }) => gelu({ x }, {}));
const weights = () => new Map([['w', new Float32Array(12).fill(0.1)] as const, ['b', new Float32Array(3)] as const]);
const specs = [
  { name: 'w', shape: [3, 4] },
  { name: 'b', shape: [3] },
];
const parameters = new Parameters(engine, 'layer', specs);
parameters.load(weights());
const logitsOf = (x: Tensor) => linear({ x, w: parameters.get('w'), b: parameters.get('b'), r: null }, {}).y;
const optimizer = new AdamW(parameters);
const loss = ({ x, labels }: Record<'x' | 'labels', Tensor>) =>
  crossEntropy({ logits: logitsOf(x), targets: classTargets({ labels }, { classes: 3 }) }, {}).loss;
const trainer = new Trainer(engine, { inputs: { x: 'f32', labels: 'i32' }, optimizer, loss });
const batch = { x: halves(2, 4), labels: { data: Int32Array.of(0, 2), shape: [2] } };

async function stepped(more: object): Promise<unknown> {
  const other = new Engine(device);
  try {
    return await new Trainer(other, { inputs: { x: 'f32', labels: 'i32' }, optimizer, loss, ...more }).step(batch, {
      lr: 1,
    });
  } finally {
    other.dispose();
  }
}

let elsewhere: Tensor | null = null;
/** A variable of another engine, which goes with it. */
async function foreign(use: (v: Any) => unknown, on = device): Promise<void> {
  using other = new Engine(on);
  await use(other.variable('theirs', [2], { data: Float32Array.of(7, 8) }));
}

const MISTAKES: readonly Mistake[] = [
  // What a program is made of.
  [() => new Engine(device.gpu as Any), /^engine: give it a Device, which openDevice\(navigator\.gpu\) or useDevice/],
  [
    () => of({ x: 'float32' }, ({ x }) => ({ x })),
    /^compile: input x is float32, it must be one of f32, f16, u32, i32$/,
  ],
  [() => of({ x: 'f32' }, () => undefined).run({ x: halves(2) }), /must return its outputs by name.*got undefined$/],
  [() => of({ x: 'f32' }, ({ x }) => x).run({ x: halves(2) }), /must return its outputs by name.*got a Tensor$/],
  [() => of({ x: 'f32' }, async ({ x }) => ({ x })).run({ x: halves(2) }), /it may not be async/],
  [() => of({}, () => parameters.variables.get('w')).run({}), /outputs by name|output \w+ must be a tensor/],
  [
    () => of({}, () => ({ w: parameters.get('w') })).run({}),
    /^compile: output w must be a tensor, got the variable w \(trace\.use/,
  ],
  // What it is run on.
  [() => half.run(), /^run: inputs are given by name: x$/],
  [() => half.run({}), /^run: input x is missing$/],
  [() => half.run({ x: 0 }), /^run: input x must be \{ data, shape \}.*got a Number$/],
  [() => half.run({ x: { pieces: 5, shape: [1] } }), /got \{ pieces, shape \}$/],
  [() => half.run({ x: { data: Float32Array.of(1), shape: [1n] } }), /sizes must be whole numbers above 0, got \(1\)$/],
  [() => half.run({ x: Float32Array.of(1) }), /^run: input x must be \{ data, shape \}.*got a Float32Array$/],
  [() => half.run({ x: [1, 2] }), /got an Array$/],
  [() => half.run({ x: { data: Float32Array.of(1) } }), /got \{ data \}$/],
  [() => half.run({ x: { data: [1], shape: [1] } }), /^run: input x is f32 and takes a Float32Array, got an Array$/],
  [() => half.run({ x: { data: Uint32Array.of(1), shape: [1] } }), /takes a Float32Array, got a Uint32Array$/],
  [() => half.run({ x: { data: Float32Array.of(1), shape: [2] } }), /says \(2\) = 2 elements, its data has 1$/],
  [
    () => half.run({ x: { data: new Float32Array(), shape: [0] } }),
    /input x: sizes must be whole numbers above 0, got \(0\)$/,
  ],
  [() => half.plan(), /^plan: shapes are given by name: x$/],
  [() => half.record(), /^plan: shapes are given by name: x$/],
  [() => half.record({ x: 3 }), /^plan: input x: its shape must be an array of sizes, got a Number$/],
  [() => half.plan({ x: [2 ** 31] }), /takes \d+ bytes, this device binds \d+ at most; use a smaller batch/],
  // Ops.
  [
    () => of({ a: 'f32', b: 'f32' }, (i) => add(i, {})).run({ a: halves(2), b: halves(3) }),
    /^add: shapes must match, got \(2\) and \(3\)$/,
  ],
  [
    () => of({ x: 'f32' }, ({ x }) => ({ y: logitsOf(x) })).run({ x: halves(2, 5) }),
    /^linear: .* x is \(2, 5\), w is \(3, 4\)$/,
  ],
  [
    () =>
      of({ x: 'f32', w: 'f32', b: 'f32' }, (i) => linear({ r: null, ...i }, {})).run({
        x: halves(2, 4),
        w: halves(3, 4),
        b: halves(4),
      }),
    /^linear: b must be \(3\), got \(4\)$/,
  ],
  [
    () =>
      of({ x: 'f32', w: 'f32', b: 'f32' }, (i) => layernorm({ r: null, ...i }, {} as Any)).run({
        x: halves(2, 4),
        w: halves(4),
        b: halves(4),
      }),
    /^layernorm\.forward: parameter eps is missing, it takes rows, cols, eps$/,
  ],
  [
    () => of({}, (_, t) => ({ y: t.constant(Float64Array.of(1, 2), [2]) })).run({}),
    /^trace: constant must be a Float32Array, a Uint32Array or an Int32Array, got a Float64Array$/,
  ],
  [
    () => of({}, (_, t) => ({ y: t.constant(new Float32Array(3), [2]) })).run({}),
    /^trace: constant \(2\) has 2 elements, its data 3$/,
  ],
  // What is of another trace, engine or device.
  [
    async () => {
      await of({ x: 'f32' }, ({ x }) => ({ x: (elsewhere = x) as Tensor })).run({ x: halves(2) });
      await of({ x: 'f32' }, ({ x }) => add({ a: x, b: elsewhere as Tensor }, {})).run({ x: halves(2) });
    },
    /^trace: a tensor of another trace was used/,
  ],
  [
    () => foreign((v) => of({ x: 'f32' }, ({ x }) => add({ a: x, b: v }, {})).run({ x: halves(2) })),
    /^memory: theirs is of another engine/,
  ],
  [() => foreign((v) => engine.read(v)), /^memory: theirs is of another engine/],
  [() => foreign((v) => engine.write(v, new Float32Array(2))), /^memory: theirs is of another engine/],
  [
    async () => {
      using second = await openDawn();
      await foreign((v) => of({ x: 'f32' }, ({ x }) => add({ a: x, b: v }, {})).run({ x: halves(2) }), second);
    },
    /^memory: theirs is of another engine/,
  ],
  [() => stepped({}), /^memory: .* is of another engine/],
  // Variables and parameters.
  [() => engine.variable('v', [0]), /^variable: v: sizes must be whole numbers above 0, got \(0\)$/],
  [() => engine.variable('v', 3 as Any), /^variable: v: its shape must be an array of sizes, got a Number$/],
  [
    () => engine.variable('v', [2], { dtype: 'f64' as Any }),
    /^variable: v is f64, it must be one of f32, f16, u32, i32$/,
  ],
  [() => engine.write(engine.variable('v', [2]), undefined as Any), /takes a Float32Array, got undefined$/],
  [() => engine.variable('v', [2], { data: new Float32Array(3) }), /^write: v has 2 elements, got 3$/],
  [() => new Parameters(engine, 'p', [...specs, specs[0]]), /^parameters: there are two called w$/],
  [
    () => new Parameters(engine, 'p', [{ name: 'w', shape: [3, 0] }]),
    /^parameters: w: sizes must be whole numbers above 0, got \(3, 0\)$/,
  ],
  [() => parameters.load(new Map()), /^load: w \(3, 4\) is missing$/],
  [() => parameters.get('v'), /^parameters: there is no parameter v$/],
  // Training.
  [() => (trainer as Any).step(batch), /^adamw: lr must be a number of at least 0, got undefined$/],
  [() => trainer.step(batch, {} as Any), /^adamw: lr must be a number of at least 0, got undefined$/],
  [() => trainer.step(batch, { lr: Number.NaN }), /got NaN$/],
  [() => trainer.step(batch, { lr: -1 }), /got -1$/],
  [() => stepped({ loss: ({ x }: Any) => gelu({ x }, {}) }), /^backward: loss must be a tensor/],
  [() => stepped({ loss: ({ x }: Any) => gelu({ x }, {}).y }), /^backward: loss must have one element, got \(2, 4\)$/],
  // Devices.
  [() => openDevice(undefined as Any), /^device: there is no WebGPU here \(navigator\.gpu is missing\)/],
  [async () => useDevice((await dawn().requestAdapter()) as Any), /^useDevice: give it a GPUDevice/],
];

test('every mistake is told in one line of the house', () => allRefused(MISTAKES));

class Mine extends Float32Array {}
const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
shared.set([1, 2]);
/** As numbers come from workers, from frames of a page and from other libraries. */
const ARRAYS: Record<string, Float32Array> = {
  'a view of shared memory': shared,
  'an array of another realm': runInNewContext('Float32Array.of(1, 2)'),
  'a subclass': Mine.of(1, 2),
  'a view of a part': Float32Array.of(0, 1, 2, 0).subarray(1, 3),
};
for (const [name, data] of Object.entries(ARRAYS))
  test(`${name} is no mistake, as input, variable and constant`, async () => {
    const v = engine.variable(name, [2], { data });
    const program = of({ x: 'f32' }, ({ x }, t) => add({ a: add({ a: x, b: v }, {}).y, b: t.constant(data, [2]) }, {}));
    const { y } = await (await program.run({ x: { pieces: [data], shape: [2] } })).read();
    assert.equal([...y], [3, 6]);
  });

test('and nothing of it is left: parameters are what they were, the engine computes and trains', async () => {
  await gently(device.gpu.queue.onSubmittedWorkDone());
  device.check();
  assert.equal(await parameters.read(), weights());
  const { y } = await half.run({ x: halves(2) }).read();
  assert.equal((await (await half.run({ x: halves(2) })).read()).y, y);
  assert.is(await refusal(async () => half.run({}).read()), 'run: input x is missing');
  assert.ok(Math.abs(y[0] - 0.3457312) < 1e-6);
  const [result] = await trainer.step(batch, { lr: 1e-3 });
  assert.ok(Math.abs((await result.read()).loss[0] - Math.log(3)) < 1e-5);
  assert.is.not((await parameters.read()).get('w')?.[0], weights().get('w')?.[0]);
});

test('what was disposed of says so', async () => {
  const waiting = await half.run({ x: halves(2) });
  engine.dispose();
  assert.is(await refusal(async () => waiting.read()), 'engine: it was disposed of; make a new one');
  for (const work of [
    () => half.run({ x: halves(2) }),
    () => engine.read(parameters.get('w')),
    () => trainer.step(batch, { lr: 1 }),
  ])
    assert.is(await refusal(work), 'engine: it was disposed of; make a new one');
  device.dispose();
});

test.run();
