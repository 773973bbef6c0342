// How an epoch is cut into updates and micro-batches: every image once, weights of what is averaged, the learning rate along.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { parseBytes } from '../../mae/bytes.ts';
import { configure } from '../../mae/model/config.ts';
import { epochText, sizesText } from '../../mae/train/introduce.ts';
import { Standing } from '../../mae/train/standing.ts';
import { type Cutting, Updates } from '../../mae/train/updates.ts';
import type { RunOptions } from '../../mae/train/setup.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

test('an epoch sees every image once, in updates that no cut moves', () => {
  for (let i = 0; i < 500; i++) {
    const [batch_size, accum_iter] = [1 + rng.below(40), 1 + rng.below(4)];
    const given = { images: 1 + rng.below(600), batch_size, accum_iter, drop_last: false };
    const micro_batch = 1 + rng.below(batch_size);
    const [whole, cut] = [new Updates(given), new Updates({ ...given, micro_batch })];
    const say = JSON.stringify({ ...given, micro_batch });
    assert.is(cut.count, Math.ceil(given.images / (batch_size * accum_iter)), say);
    assert.is(cut.images, given.images, say);
    const places = cut.places();
    for (let step = 0; step < cut.count; step++) {
      assert.is(cut.size(step), whole.size(step), say);
      assert.is(cut.size(step), Math.min(whole.full, given.images - step * whole.full), say);
      assert.ok(Math.max(...cut.parts(step)) <= micro_batch, say);
      const first = cut.firstPart(step);
      assert.is(places[first], step * whole.full, say);
      for (const [part, n] of cut.parts(step).entries())
        assert.is(places[first + part + 1] - places[first + part], n, say);
    }
    assert.is(places.at(-1), given.images, say);
  }
});

test('with drop_last an epoch is what it was before leftovers were used', () => {
  for (let i = 0; i < 200; i++) {
    const [images, batch_size, accum_iter] = [rng.below(600), 1 + rng.below(40), 1 + rng.below(4)];
    const updates = new Updates({ images, batch_size, accum_iter, drop_last: true });
    assert.is(updates.count, Math.floor(images / (batch_size * accum_iter)));
    assert.is(updates.images, updates.count * batch_size * accum_iter);
    for (let step = 0; step < updates.count; step++)
      assert.equal(updates.parts(step), new Array(accum_iter).fill(batch_size));
  }
});

test('images that are mixed in pairs leave an odd one out', () => {
  const even: Cutting = { images: 101, batch_size: 8, accum_iter: 2, drop_last: false, even: true };
  const updates = new Updates(even);
  assert.is(updates.images, 100);
  assert.equal(updates.parts(6), [4]);
  assert.is(new Updates({ ...even, images: 97 }).count, 6, 'one image makes no pair');
});

test('the learning rate falls along the updates of an epoch, the last and smaller one among them', () => {
  const updates = new Updates({ images: 100, batch_size: 16, accum_iter: 2, drop_last: false });
  assert.equal([updates.count, updates.parts(3)], [4, [4]]);
  const options = { sched: 'cosine', min_lr: 0, warmup_epochs: 0, epochs: 2, lr: 1, stepsPerEpoch: updates.count };
  const standing = new Standing(null, options as unknown as RunOptions & { lr: number; stepsPerEpoch: number });
  const rates = [0, 1, 2, 3].map((step) => standing.rate(step));
  assert.equal(
    rates,
    [0, 1, 2, 3].map((step) => 0.5 * (1 + Math.cos((Math.PI * step) / 4 / 2))),
  );
  // Loss sums are of updates by their sizes: 3 full ones and an eighth.
  Object.assign(standing, { step: 4, lossSum: 6.25 });
  assert.equal(standing.line(updates), { train_lr: sum(rates) / 4, train_loss: 2, epoch: 0 });
  Object.assign(standing, { step: 2, lossSum: 4, left: 32 });
  const within = { train_lr: (rates[0] + rates[1]) / 2, train_loss: 4, epoch: 0, part: 0.5 };
  assert.equal(standing.line(updates), within);
});

test('amounts of memory are read as people write them', () => {
  const right = {
    '8GiB': 2 ** 33,
    '8G': 2 ** 33,
    '1.5 gib': 1.5 * 2 ** 30,
    '8GB': 8e9,
    '500MiB': 500 * 2 ** 20,
    77: 77,
  };
  for (const [text, bytes] of Object.entries(right)) assert.is(parseBytes(text), bytes, text);
  for (const text of ['', 'GiB', '-1GiB', '8 apples', '8GiBs', '1e99', 'NaN', '8,5GiB'])
    assert.is(parseBytes(text), null, text);
});

test('what a run says of its steps and its sizes', () => {
  const said = (images: number): string =>
    epochText(new Updates({ images, batch_size: 32, accum_iter: 2, drop_last: false }));
  assert.is(said(100), '1 step of 64 an epoch and one of 36');
  assert.is(said(128), '2 steps of 64 an epoch');
  assert.match(said(6), /^one step of 6 an epoch, fewer than /);
  const preset = 'mae_vit_nano_patch4_32';
  assert.is(sizesText(preset, configure(preset, { img_size: [64, 64], norm_pix_loss: true })), preset);
  assert.is(sizesText('mae_vit_large_patch16', configure(preset)), '4 blocks of width 96 and 3 heads, patches of 4');
});

test.run();
