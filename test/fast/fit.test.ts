// The search for the largest batch that has room, and how a batch is cut.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CapacityError } from '../../engine/errors.ts';
import { largestBatch, splitBatch } from '../../engine/fit.ts';
import { random } from '../../kernels/random/random.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);

test('the largest batch is exactly the one below the first without room', () => {
  for (let i = 0; i < 200; i++) {
    const [fixed, each, binding] = [rng.below(1000), 1 + rng.below(50), 1 + rng.below(300)];
    const limit = rng.below(5000);
    const most = 1 + rng.below(300);
    const bytes = (batch: number): number => {
      if (batch > binding) throw new CapacityError('too large');
      return fixed + each * batch;
    };
    const right = Math.max(0, Math.min(most, binding, Math.floor((limit - fixed) / each)));
    assert.is(largestBatch(bytes, limit, most), right, JSON.stringify({ fixed, each, binding, limit, most }));
  }
});

test('other errors than of capacity are passed on', () => {
  const broken = (): number => {
    throw new Error('broken');
  };
  assert.throws(() => largestBatch(broken, 10, 10), /broken/);
});

test('a batch is cut into parts that fit, all of it, and as equal as can be', () => {
  for (let batch = 1; batch <= 70; batch++)
    for (let fitting = 1; fitting <= 70; fitting++) {
      const parts = splitBatch(batch, fitting);
      assert.is(
        parts.reduce((a, b) => a + b),
        batch,
      );
      assert.ok(Math.max(...parts) <= fitting);
      assert.ok(Math.max(...parts) - Math.min(...parts) <= 1);
      assert.ok(parts.length <= 2 * Math.ceil(batch / fitting));
    }
  assert.equal(splitBatch(64, 25), [16, 16, 16, 16]);
  assert.equal(splitBatch(7, 4), [4, 3]);
  assert.equal(splitBatch(256, 256), [256]);
});

test.run();
