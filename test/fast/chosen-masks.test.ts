// Masks that people choose: drawn for a number, complementary, under rectangles, painted, listed.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { uniformAt } from '../../kernels/random/random.ref.ts';
import { random } from '../../kernels/random/random.ts';
import { STREAM } from '../../mae/data/streams.ts';
import {
  complementary,
  listed,
  noiseFor,
  PATTERNS,
  painted,
  removing,
  underRectangles,
} from '../../mae/model/chosen-masks.ts';
import { configure, patchesOf } from '../../mae/model/config.ts';
import { drawn, floats } from '../support/pictured.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);

test('masks of a number: those of held-out images; any kind keeps its order for every ratio', () => {
  const { config } = drawn(rng);
  const noise = noiseFor('random', config, 1, 7, 3);
  assert.equal(
    [...noise],
    Array.from(noise, (_, i) => uniformAt(i, 3, 0, 7, STREAM.heldout)),
  );
  for (const kind of PATTERNS) assert.is(noiseFor(kind, config, 2, 7, 3).length, patchesOf(config));
});

test('complementary masks remove every patch, equally often where that is possible, and begin with the mask of the noise', () => {
  for (let round = 0; round < 30; round++) {
    const patches = 2 + rng.below(40);
    const keep = 1 + rng.below(patches - 1);
    const noise = floats(patches, rng.uniform);
    const passes = Math.ceil(patches / (patches - keep)) + rng.below(4);
    const masks = complementary(noise, keep, passes);
    const kept = masks.map((mask) =>
      Array.from(mask.noise, (v, l) => [v, l])
        .filter(([v]) => v === 0)
        .map(([, l]) => l),
    );
    assert.ok(kept.every((ids) => ids.length === keep));
    const times = Array.from({ length: patches }, (_, l) => kept.filter((ids) => !ids.includes(l)).length);
    assert.ok(
      times.every((n) => n >= 1),
      `${keep} of ${patches}, ${passes} passes; SEED=${seed}`,
    );
    if (patches % passes === 0 && (passes * keep) % patches === 0) assert.is(new Set(times).size, 1);
    const first = Array.from(noise, (_, l) => l).sort((a, b) => noise[a] - noise[b]);
    assert.equal(
      kept[0],
      first.slice(0, keep).sort((a, b) => a - b),
    );
  }
  assert.throws(() => complementary(floats(16, rng.uniform), 12, 3), /leave 4 never removed: give 4 or more/);
});

test('rectangles, painted masks and lists say which patches go', () => {
  const config = configure('mae_vit_nano_patch4_32', { img_size: [8, 12] });
  const rect = (left: number, top: number, width: number, height: number) =>
    underRectangles([{ left, top, width, height }], config, 'r').sort((a, b) => a - b);
  assert.equal(rect(3, 0, 2, 1), [0, 1]);
  assert.equal(rect(4, 4, 99, 99), [4, 5]);
  assert.throws(() => rect(12, 0, 1, 1), /r: 12,0 lies outside of the image, which the model sees as 12 x 8/);
  const paint = (times: number, white: (x: number, y: number) => boolean) => {
    const [height, width] = [2 * times, 3 * times];
    const data = Uint8Array.from({ length: height * width * 3 }, (_, i) =>
      white(Math.floor(i / 3) % width, Math.floor(i / 3 / width)) ? 255 : 0,
    );
    return painted({ data, height, width }, config, 'p');
  };
  assert.equal(
    paint(1, (x, y) => x === 2 && y === 1),
    [5],
  );
  assert.equal(
    paint(3, (x) => x < 2),
    [0, 3],
  );
  assert.equal(
    paint(4, (x) => x < 2),
    [],
  );
  assert.throws(
    () => painted({ data: new Uint8Array(3 * 8), height: 2, width: 4 }, config, 'p'),
    /p is 4 x 2 pixels, the model has 3 x 2 patches/,
  );
  assert.equal(listed([5, 0], config, 'l'), [5, 0]);
  assert.equal(listed({ ids_keep: [1, 2] }, config, 'l'), [0, 3, 4, 5]);
  assert.equal(
    listed(
      {
        mask: [
          [1, 0, 0],
          [0, 0, 1],
        ],
      },
      config,
      'l',
    ),
    [0, 5],
  );
  for (const [json, said] of [
    [[1, 1, 0], /l lists patch 1 twice/],
    [{ mask: [1] }, /mask must be 6 zeros and ones \(2 rows of 3\), got 1 of them/],
    [{ mask: [2, 0, 0, 0, 0, 0] }, /got 2/],
    [{ ids_keep: [6] }, /0 to 5, row by row, got 6/],
    [null, /holds no mask/],
    ['x', /holds no mask/],
  ] as const)
    assert.throws(() => listed(json, config, 'l'), said);
  const { noise, keep } = removing([1, 4], config, 'm');
  assert.equal([[...noise], keep], [[0, 1, 0, 0, 1, 0], 4]);
  for (const [removed, said] of [
    [[], /m removes none of 6 patches/],
    [[0, 1, 2, 3, 4, 5], /m removes all 6 patches/],
    [[6], /got 6/],
    [[0.5], /got 0.5/],
  ] as const)
    assert.throws(() => removing(removed, config, 'm'), said);
});

test.run();
