// A small model that is none of ours, trained on the public surface alone: what was written to a file after some steps goes on, in other
// engines, with the losses and the bits that it would have had; a file that does not fit changes nothing.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  Engine,
  gelu,
  type HostTensor,
  Lars,
  linear,
  mse,
  type Optimizer,
  Parameters,
  parseSafetensors,
  type RawTensor,
  rawTensor,
  restoreTraining,
  Sgd,
  TesseraeError,
  Trainer,
  trainingState,
  writeSafetensors,
} from '../engine/index.ts';
import { openDawn } from '../engine/node/index.ts';
import { random } from '../kernels/index.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const device = await openDawn();
const SPECS = [
  { name: 'hidden.weight', shape: [9, 3] },
  { name: 'hidden.bias', shape: [9] },
  { name: 'out.weight', shape: [1, 9] },
];

/** sin of a sum of three numbers, by a hidden layer. */
function regression(optimizerOf: (parameters: Parameters) => Optimizer) {
  const engine = new Engine(device);
  const parameters = new Parameters(engine, 'net', SPECS);
  const rng = random(seed, 1);
  const initial = SPECS.map(({ name, shape }) => {
    const n = shape.reduce((a, b) => a * b, 1);
    return [name, Float32Array.from({ length: n }, () => rng.normal() / 2)] as const;
  });
  parameters.load(new Map(initial));
  const optimizer = optimizerOf(parameters);
  const [w1, b1, w2] = SPECS.map(({ name }) => parameters.get(name));
  const trainer = new Trainer(engine, {
    inputs: { x: 'f32', target: 'f32' },
    optimizer,
    loss: ({ x, target }) => {
      const { y } = gelu({ x: linear({ x, w: w1, b: b1, r: null }, {}).y }, {});
      return mse({ pred: linear({ x: y, w: w2, b: null, r: null }, {}).y, target }, {}).loss;
    },
  });
  const step = async (i: number, lr = 1e-2): Promise<number> => {
    const draw = random(seed, 2 + i);
    const x = Float32Array.from({ length: 3 * 17 }, () => draw.normal());
    const target = Float32Array.from({ length: 17 }, (_, r) => Math.sin(x[3 * r] + x[3 * r + 1] + x[3 * r + 2]));
    const batch: Record<'x' | 'target', HostTensor> = {
      x: { data: x, shape: [17, 3] },
      target: { data: target, shape: [17, 1] },
    };
    const [result] = await trainer.step(batch, { lr });
    return (await result.read()).loss[0];
  };
  return { engine, parameters, optimizer, step };
}

const bytesOf = async (optimizer: Optimizer): Promise<Uint8Array> =>
  new Uint8Array(await new Blob(writeSafetensors(await trainingState(optimizer)) as never).arrayBuffer());

const OPTIMIZERS: Record<string, (parameters: Parameters) => Optimizer> = {
  AdamW: (p) => new AdamW(p, { clipNorm: 1 }),
  Sgd: (p) => new Sgd(p, { momentum: 0.9 }),
  Lars: (p) => new Lars(p),
};
for (const [name, optimizerOf] of Object.entries(OPTIMIZERS)) {
  test(`${name}: what was written after 5 of 10 steps goes on with the same bits`, async () => {
    const whole = regression(optimizerOf);
    const losses: number[] = [];
    let file = new Uint8Array();
    for (let i = 0; i < 10; i++) {
      if (i === 5) file = (await bytesOf(whole.optimizer)) as Uint8Array<ArrayBuffer>;
      losses.push(await whole.step(i));
    }
    const again = regression(optimizerOf);
    await again.step(77); // other moments, another count of steps
    restoreTraining(again.optimizer, parseSafetensors(file).tensors);
    for (let i = 5; i < 10; i++) assert.is(await again.step(i), losses[i], `loss of step ${i}, SEED=${seed}`);
    assert.equal(await bytesOf(again.optimizer), await bytesOf(whole.optimizer), `SEED=${seed}`);
    for (const { engine } of [whole, again]) engine.dispose();
  });
}

test('steps that nobody awaits are made one after the other, each at its own learning rate', async () => {
  const [one, other] = [regression(OPTIMIZERS.AdamW), regression(OPTIMIZERS.AdamW)];
  const rates = [1e-2, 3e-2, 0];
  const losses: number[] = [];
  for (const [i, lr] of rates.entries()) losses.push(await one.step(i, lr));
  assert.equal(await Promise.all(rates.map((lr, i) => other.step(i, lr))), losses, `SEED=${seed}`);
  assert.equal(await bytesOf(other.optimizer), await bytesOf(one.optimizer), `SEED=${seed}`);
  for (const { engine } of [one, other]) engine.dispose();
});

test('a file that does not fit says which tensor, and changes nothing', async () => {
  const { engine, optimizer, step } = regression(OPTIMIZERS.AdamW);
  await step(0);
  const before = await bytesOf(optimizer);
  const tensors = parseSafetensors(before).tensors;
  const told = (change: (map: Map<string, RawTensor>) => void): string => {
    const changed = new Map(tensors);
    change(changed);
    try {
      restoreTraining(optimizer, changed);
    } catch (error) {
      assert.instance(error, TesseraeError);
      return (error as Error).message;
    }
    return 'nothing was said';
  };
  assert.is(
    told((map) => map.delete('adamw.v.out.weight')),
    'restore: adamw.v.out.weight (1, 9) is missing',
  );
  assert.is(
    told((map) => map.delete('adamw.step')),
    'restore: adamw.step (1) is missing',
  );
  const turned = rawTensor('F32', [9, 1], new Float32Array(9));
  assert.is(
    told((map) => map.set('out.weight', turned)),
    'restore: out.weight must be (1, 9), got (9, 1)',
  );
  const counted = rawTensor('F32', [1], new Float32Array(1));
  assert.match(
    told((map) => map.set('adamw.step', counted)),
    /F32, asked for U32/,
  );
  assert.equal(await bytesOf(optimizer), before);
  engine.dispose();
});

test.run();
