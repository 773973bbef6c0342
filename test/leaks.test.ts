// Nothing grows: not over a thousand steps, nor a thousand inferences, nor engines that come and go. Counted at the GPUDevice; and a planted leak
// of each kind is found, so that the counting can be believed. `npm run test:leaks` makes a hundred engines.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { add } from '../engine/ops/elementwise.ts';
import { spyOn } from './support/spy.ts';
import { tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const engines = Number(process.env.ENGINES ?? 12);
const TIMES = 1000;
console.log(`SEED=${seed}`);
const device = await openDawn({ profile: 'simt', raiseLimits: false });
const spy = spyOn(device.gpu);
const batches = Array.from({ length: 4 }, (_, i) => tinyBatch(8, seed + i));

const held = () => ({ buffers: spy.buffers.size, bytes: spy.bytes });

/** Throws if `step`, after three calls, makes any GPU object or holds more memory in `times` further ones. */
async function flat(step: (i: number) => Promise<unknown>, times: number): Promise<void> {
  for (let i = 0; i < 3; i++) await step(i);
  const [made, before] = [{ ...spy.made }, held()];
  for (let i = 3; i < times; i++) await step(i);
  assert.equal(spy.made, made, 'objects were made after the third step');
  assert.equal(held(), before, 'memory grew after the third step');
}

/** Throws if `life` leaves anything behind, time after time. */
async function clean(life: () => Promise<unknown>, times: number): Promise<void> {
  const before = held();
  for (let i = 0; i < times; i++) {
    await life();
    assert.equal(held(), before, `something was left behind in life ${i + 1}`);
  }
}

const found = (leak: Promise<void>, words: RegExp): Promise<void> =>
  leak.then(
    () => assert.unreachable('a planted leak was not found'),
    (error: Error) => assert.match(error.message, words),
  );

test(`${TIMES} steps and ${TIMES} inferences: nothing is made and nothing grows after the third`, async () => {
  const engine = new Engine(device);
  const { trainer, model, keep } = tinyTraining(engine, seed, { clipNorm: 1, skipNonFinite: true });
  await flat(async (i) => {
    const [result] = await trainer.step(batches[i % 4], { lr: 1e-3 });
    if (i % 7 === 0) await result.read();
  }, TIMES);
  const forward = engine.compile({ img: 'f32', noise: 'f32' }, ({ img, noise }) => {
    return { pred: model.forward(img, noise, keep).pred };
  });
  await flat(async (i) => {
    const result = await forward.run(batches[i % 4]);
    if (i % 7 === 0) await result.read();
  }, TIMES);
  // The likeliest mistake of a caller: compiling within the loop.
  const compiling = async (): Promise<void> => {
    const program = engine.compile({ img: 'f32' }, ({ img }) => add({ a: img, b: img }, {}));
    await (await program.run({ img: batches[0].img })).read();
  };
  await found(flat(compiling, 6), /after the third step/);
  engine.dispose();
});

test(`${engines} engines: each gives back all that it made`, async () => {
  const life = async (leave = false): Promise<void> => {
    const engine = new Engine(device);
    const { trainer } = tinyTraining(engine, seed);
    const [result] = await trainer.step(batches[0], { lr: 1e-3 });
    await result.read();
    if (!leave) engine.dispose();
  };
  await clean(life, engines);
  await found(
    clean(() => life(true), 1),
    /left behind in life 1/,
  );
});

test('nothing went wrong unseen', async () => {
  await device.wait(device.gpu.queue.onSubmittedWorkDone());
  device.check();
  device.dispose();
});
test.run();
