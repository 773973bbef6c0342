// What a step will take of GPU memory, foretold before anything is allocated, against every createBuffer of the steps themselves.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { MemoryForecast } from '../engine/forecast.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { random } from '../kernels/random/random.ts';
import { spyOn } from './support/spy.ts';
import { tinyBatch, tinyTraining } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const device = await openDawn({ profile: 'simt', raiseLimits: false });
const spy = spyOn(device.gpu);

test('what plans share is foretold to the byte, whatever runs first', async () => {
  const rng = random(seed, 1);
  for (let round = 0; round < 4; round++) {
    const start = spy.bytes;
    const engine = new Engine(device);
    const { trainer } = tinyTraining(engine, seed);
    const before = spy.bytes - start;
    const steps = Array.from({ length: 3 }, () => Array.from({ length: 1 + rng.below(3) }, () => 1 + rng.below(9)));
    const shapes = (batch: number) => {
      const { img, noise } = tinyBatch(batch, 0);
      return { img: img.shape, noise: noise.shape };
    };
    const weights = (sizes: number[]) => sizes.map((n) => n / sizes.reduce((a, b) => a + b));
    const forecast = new MemoryForecast(steps.flatMap((sizes) => trainer.plans(sizes.map(shapes), weights(sizes))));
    assert.is(spy.bytes - start, before, 'a forecast allocated');
    for (const sizes of steps) {
      const batches = sizes.map((n, i) => tinyBatch(n, i));
      const results = await trainer.step(batches, { lr: 1e-3, weights: weights(sizes) });
      for (const r of results) await r.read();
    }
    // Beside the plans: six bindings that stand for unused ones.
    assert.is(forecast.total + 96, spy.bytes - start, JSON.stringify(steps));
    engine.dispose();
  }
});

test.run();
