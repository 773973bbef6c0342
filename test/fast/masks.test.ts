// Masks that are drawn on the host, and what fine-tuning does to images: budgets met exactly, shapes as promised, the same for every split.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { augmentedPlaces, AUGMENTATIONS, drawMixing, erasedBoxes, gamma } from '../../mae/data/augmentation.ts';
import { clampedBox, cropPart, evalPlaces } from '../../mae/data/sampler.ts';
import { lenKeep, ratioFor } from '../../mae/model/config.ts';
import { maskNoise, nextRatio, noiseOf, patchNumbers, RATIO_RULE } from '../../mae/model/masks.ts';
import { UsageError } from '../../mae/usage.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed, 2);

/** Which patches stay: the `keep` of least noise, as the kernels sort. */
const kept = (noise: Float32Array, keep: number): number[] =>
  [...noise.keys()].sort((a, b) => noise[a] - noise[b] || a - b).slice(0, keep);

for (const kind of ['block', 'grid', 'bernoulli'] as const) {
  test(`${kind}: the same for the same key, others for other samples and epochs`, () => {
    const key = { seed, epoch: 3, sample: 17 };
    const draw = (change = {}) => [...maskNoise(kind, [8, 8], 16, { ...key, ...change })];
    assert.equal(draw(), draw());
    assert.not.equal(draw(), draw({ sample: 18 }));
    assert.not.equal(draw(), draw({ epoch: 4 }));
    assert.ok(draw().every((x) => x >= 0 && Number.isFinite(x)));
  });
}

test('block: exactly what is over the budget is removed, in fewer pieces than at random', () => {
  const pieces = (gone: boolean[], cols: number): number =>
    gone.filter((g, i) => g && !(i % cols && gone[i - 1]) && !(i >= cols && gone[i - cols])).length;
  let [blocks, scattered] = [0, 0];
  for (let sample = 0; sample < 40; sample++) {
    const [rows, cols] = [2 + rng.below(13), 2 + rng.below(13)];
    const keep = 1 + rng.below(rows * cols - 1);
    const noise = maskNoise('block', [rows, cols], keep, { seed, epoch: 0, sample });
    assert.is([...noise].filter((x) => x < 1).length, keep, `SEED=${seed}`);
    const gone = [...noise].map((x) => x >= 1);
    const order = kept(
      Float32Array.from(noise, (x) => x % 1),
      keep,
    );
    blocks += pieces(gone, cols);
    scattered += pieces(
      gone.map((_, i) => !order.includes(i)),
      cols,
    );
  }
  assert.ok(blocks < 0.6 * scattered, `${blocks} corners, ${scattered} at random; SEED=${seed}`);
});

test('grid: a quarter is every second patch of every second row', () => {
  const noise = maskNoise('grid', [6, 8], 12, { seed, epoch: 0, sample: 5 });
  const places = kept(noise, 12).map((i) => [Math.floor(i / 8), i % 8]);
  assert.ok(
    places.every(([row, col]) => row % 2 === 0 && col % 2 === 0),
    `SEED=${seed}`,
  );
});

test('bernoulli: coins decide, not the order of the noise alone', () => {
  const counts = Array.from({ length: 200 }, (_, sample) => {
    const noise = maskNoise('bernoulli', [8, 8], 16, { seed, epoch: 0, sample });
    return [...noise].filter((x) => x < 1).length;
  });
  const mean = counts.reduce((a, b) => a + b) / counts.length;
  assert.ok(Math.abs(mean - 16) < 1.5 && new Set(counts).size > 5, `${mean}; SEED=${seed}`);
});

test("a user's own mask keeps exactly what it names", () => {
  assert.equal(kept(noiseOf([7, 2, 11], 12), 3), [2, 7, 11]);
  assert.throws(() => noiseOf([12], 12), /patches have numbers 0 to 11, got 12/);
});

test('patches are named by numbers and ranges; what cannot be is told', () => {
  assert.equal(patchNumbers('--ids_keep', '7, 2,9-11,10', 12), [2, 7, 9, 10, 11]);
  for (const [text, says] of [
    ['3,x', /^--ids_keep must be numbers of patches, as 0,3,8-11, got x$/],
    ['3,,4', /got nothing$/],
    ['12', /patches have numbers 0 to 11 from the upper left one on, got 12$/],
    ['5-3', /got 5-3$/],
    ['0-11', /names all 12 patches/],
  ] as const) {
    assert.throws(
      () => patchNumbers('--ids_keep', text, 12),
      (error: Error) => error instanceof UsageError && says.test(error.message),
    );
  }
});

test('the ratio of so many kept patches keeps so many', () => {
  for (let patches = 2; patches <= 300; patches++)
    for (let keep = 1; keep < patches; keep++) assert.is(lenKeep(patches, ratioFor(keep, patches)), keep);
});

test('the ratio follows the loss within its limits', () => {
  const rule = { ...RATIO_RULE, threshold: 0.4 };
  assert.ok(Math.abs(nextRatio(0.5, 0.3, rule) - 0.55) < 1e-12);
  assert.is(nextRatio(0.79, 0.3, rule), 0.8);
  assert.ok(Math.abs(nextRatio(0.5, 0.4, rule) - 0.47) < 1e-12);
  assert.is(nextRatio(0.31, 1, rule), 0.3);
});

test('gamma variates have the mean and variance of their shape; mixes are symmetric', () => {
  for (const a of [0.4, 0.8, 1, 2.5]) {
    const words = () => Uint32Array.from({ length: 4 }, () => rng.below(2 ** 32));
    const values = Array.from({ length: 20000 }, () => gamma(a, words));
    const mean = values.reduce((s, x) => s + x) / values.length;
    const variance = values.reduce((s, x) => s + (x - mean) ** 2, 0) / values.length;
    assert.ok(
      Math.abs(mean - a) < 0.05 * Math.max(1, a) && Math.abs(variance - a) < 0.15 * Math.max(1, a),
      `${a}: ${mean}, ${variance}; SEED=${seed}`,
    );
  }
  const lambdas = Array.from(
    { length: 3000 },
    (_, sample) => drawMixing({ ...AUGMENTATIONS.strong, cutmix: 0 }, [32, 32], { seed, epoch: 0, sample }).lambda,
  );
  const mean = lambdas.reduce((s, x) => s + x) / lambdas.length;
  // Beta(0.8, 0.8): variance 1 / (4 (1.6 + 1)).
  const variance = lambdas.reduce((s, x) => s + (x - mean) ** 2, 0) / lambdas.length;
  assert.ok(Math.abs(mean - 0.5) < 0.03 && Math.abs(variance - 1 / 10.4) < 0.01, `${mean}, ${variance}; SEED=${seed}`);
});

test("cutmix: the box lies within the image, and the target's part is that of its area", () => {
  let cuts = 0;
  for (let sample = 0; sample < 300; sample++) {
    const { lambda, how } = drawMixing(AUGMENTATIONS.strong, [24, 40], { seed, epoch: 1, sample });
    const [own, top, left, bottom, right] = how;
    assert.ok(lambda >= 0 && lambda <= 1);
    if (bottom === 0) assert.ok(Math.abs(own - lambda) < 1e-6);
    else {
      cuts++;
      assert.ok(top >= 0 && left >= 0 && bottom <= 24 && right <= 40 && bottom > top && right > left);
      assert.ok(Math.abs(lambda - (1 - ((bottom - top) * (right - left)) / 960)) < 1e-9);
    }
  }
  assert.ok(cuts > 90 && cuts < 200, `${cuts} of 300; SEED=${seed}`);
});

test('erased boxes: as often as asked, within the image, of 2 to 34 % of it', () => {
  const ids = Uint32Array.from({ length: 4000 }, (_, i) => i);
  const boxes = erasedBoxes(AUGMENTATIONS.medium, ids, [48, 32], seed, 2);
  let count = 0;
  for (let i = 0; i < ids.length; i++) {
    const [top, left, h, w] = boxes.subarray(4 * i);
    if (h === 0) continue;
    count++;
    assert.ok(top + h <= 48 && left + w <= 32 && h < 48 && w < 32);
    const part = (h * w) / (48 * 32);
    assert.ok(part > 0.01 && part < 0.36, `${part}`);
  }
  assert.ok(Math.abs(count / 4000 - 0.25) < 0.035, `${count}; SEED=${seed}`);
  // Not by the place in the batch.
  assert.equal([...erasedBoxes(AUGMENTATIONS.medium, ids.slice(7, 9), [48, 32], seed, 2)], [...boxes.slice(28, 36)]);
});

test('the weak crop never passes the image; no augmentation is the centre', () => {
  for (let sample = 0; sample < 500; sample++) {
    const [height, width] = [1 + rng.below(60), 1 + rng.below(60)];
    const box = clampedBox({ seed, epoch: 0, sample }, { height, width });
    assert.ok(
      box.height >= 1 && box.width >= 1 && box.top + box.height <= height && box.left + box.width <= width,
      `SEED=${seed}`,
    );
  }
  const place = augmentedPlaces(AUGMENTATIONS.none, { height: 8, width: 8 }, seed, 0);
  assert.equal(place(3, { height: 10, width: 20 }), { box: { top: 0, left: 5, height: 10, width: 10 }, flip: false });
});

test('evaluation: the short side is resized as torchvision does, the window is its centre', () => {
  const out = { height: 224, width: 224 };
  const at = (height: number, width: number) => evalPlaces(out, cropPart(224))(0, { height, width }).window;
  assert.equal(at(375, 500), { height: 256, width: 341, top: 16, left: 58 });
  assert.equal(at(500, 333), { height: 384, width: 256, top: 80, left: 16 });
  assert.equal(at(256, 256), { height: 256, width: 256, top: 16, left: 16 });
  assert.equal([384, 225, 65, 64, 32].map(cropPart), [1, 1, 0.875, 1, 1]);
});
test.run();
