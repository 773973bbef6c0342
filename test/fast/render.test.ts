// What pictures show, against plain definitions: statistics of patches, passes that cover an image, PSNR and SSIM of removed patches, colours.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { gridOf, type MaeConfig, patchesOf, patchValues } from '../../mae/model/config.ts';
import { headMean, onPatches, rolloutOf } from '../../mae/render/attention.ts';
import { heat } from '../../mae/render/colours.ts';
import { patchAt, patchify, unpatchify } from '../../mae/render/patches.ts';
import { qualityOf, ssimMap } from '../../mae/render/quality.ts';
import { coveredPixels, errorMap, pasted, pixelsOf, rebuiltPixels } from '../../mae/render/rebuilt.ts';
import { fromNeighbours, statisticsOf } from '../../mae/render/statistics.ts';
import { drawn, imageOf, pixelsIn, someMask } from '../support/pictured.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);

/** Row, column and channel of place `at` in (C, H, W). */
const placeOf = (at: number, { img_size: [height, width] }: MaeConfig) =>
  [Math.floor(at / width) % height, at % width, Math.floor(at / width / height)] as const;
const removedAt = (at: number, mask: ArrayLike<number>, config: MaeConfig): boolean => {
  const [y, x] = placeOf(at, config);
  return mask[patchAt(x, y, config)] === 1;
};
const near = (a: number, b: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(a - b) <= tolerance, `${what}: ${a} instead of ${b}; SEED=${seed}`);

for (let round = 0; round < 8; round++) {
  test(`patches: their places, statistics and those of their neighbours (${round})`, () => {
    const { config } = drawn(rng);
    const img = imageOf(rng, config);
    assert.equal(unpatchify(patchify(img, config), config), img);
    const [, across] = gridOf(config);
    const mask = someMask(rng, config);
    const own = statisticsOf(img, config);
    const given = fromNeighbours(own, mask, config);
    for (let l = 0; l < patchesOf(config); l++) {
      const values = [...img].filter((_, at) => patchAt(placeOf(at, config)[1], placeOf(at, config)[0], config) === l);
      assert.is(values.length, patchValues(config));
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      const squares = values.reduce((a, b) => a + (b - mean) ** 2, 0);
      near(own.mean[l], mean, 1e-9, 'mean');
      near(own.deviation[l], Math.sqrt(squares / Math.max(1, values.length - 1) + 1e-6), 1e-9, 'deviation');
      const weights = Array.from(mask, (m, v) =>
        m ? 0 : Math.hypot(Math.floor(l / across) - Math.floor(v / across), (l % across) - (v % across)) ** -3,
      );
      const sum = weights.reduce((a, b) => a + b, 0);
      const weighed = (of: Float64Array) => weights.reduce((a, w, v) => a + (mask[v] ? 0 : w * of[v]), 0) / sum;
      near(given.mean[l], mask[l] ? weighed(own.mean) : own.mean[l], 1e-9, 'mean of neighbours');
      near(given.deviation[l], mask[l] ? weighed(own.deviation) : own.deviation[l], 1e-9, 'deviation of neighbours');
    }
  });

  test(`what is under removed patches does not show through the neighbours' rendering (${round})`, () => {
    const view = drawn(rng);
    const { config } = view;
    const [img, mask] = [imageOf(rng, config), someMask(rng, config)];
    const pred = imageOf(rng, config);
    const other = img.map((v, at) => (removedAt(at, mask, config) ? 3 * rng.normal() : v));
    const show = (image: Float32Array) => rebuiltPixels({ img: image, pred, mask }, view, 'neighbours');
    assert.equal(show(other), show(img));
    assert.not.equal(rebuiltPixels({ img: other, pred, mask }, view), rebuiltPixels({ img, pred, mask }, view));
  });

  test(`passes that cover an image: means over the passes that removed a patch (${round})`, () => {
    const view = drawn(rng, rng.below(2) === 1);
    const { config } = view;
    const img = imageOf(rng, config);
    const passes = Array.from({ length: 3 }, () => ({ pred: imageOf(rng, config), mask: someMask(rng, config) }));
    for (const statistics of ['original', 'neighbours'] as const) {
      const { pixels, mask } = coveredPixels(img, passes, view, statistics);
      const each = passes.map((pass) => rebuiltPixels({ img, ...pass }, view, statistics));
      const original = pixelsOf(img, view);
      for (let at = 0; at < img.length; at++) {
        const of = each.filter((_, p) => removedAt(at, passes[p].mask, config)).map((values) => values[at]);
        near(pixels[at], of.length ? of.reduce((a, b) => a + b, 0) / of.length : original[at], 1e-6, 'mean of passes');
        assert.is(removedAt(at, mask, config), of.length > 0);
      }
      const error = errorMap(original, pixels, view);
      const area = error.length;
      const worst = error.indexOf(Math.max(...error));
      const channels = Array.from({ length: config.in_chans }, (_, c) =>
        Math.abs(original[c * area + worst] - pixels[c * area + worst]),
      );
      near(error[worst], channels.reduce((a, b) => a + b, 0) / channels.length, 1e-6, 'error');
    }
  });

  test(`PSNR and SSIM are those of removed patches, by their definitions (${round})`, () => {
    const { config } = drawn(rng);
    const [original, mask] = [pixelsIn(rng, config), someMask(rng, config)];
    const together = pasted(original, pixelsIn(rng, config), mask, config);
    const { psnr, ssim } = qualityOf(original, together, mask, config);
    const removed = Array.from(original, (_, at) => at).filter((at) => removedAt(at, mask, config));
    const mse = removed.reduce((sum, at) => sum + (original[at] - together[at]) ** 2, 0) / removed.length;
    near(psnr, 10 * Math.log10(1 / mse), 1e-9, 'PSNR');
    near(
      ssim,
      removed.reduce((sum, at) => sum + plainSsim(original, together, at, config), 0) / removed.length,
      1e-9,
      'SSIM',
    );
  });
}

/** SSIM around one pixel, as Wang et al. write it: weighted means, variances and covariance of an 11 x 11 window, mirrored at the edges. */
function plainSsim(x: Float32Array, y: Float32Array, at: number, config: MaeConfig): number {
  const [height, width] = config.img_size;
  const [row, column, c] = placeOf(at, config);
  const mirror = (i: number, n: number): number => (i < 0 ? mirror(-1 - i, n) : i >= n ? mirror(2 * n - 1 - i, n) : i);
  const window: [weight: number, place: number][] = [];
  for (let dy = -5; dy <= 5; dy++)
    for (let dx = -5; dx <= 5; dx++)
      window.push([
        Math.exp(-(dx * dx + dy * dy) / (2 * 1.5 * 1.5)),
        (c * height + mirror(row + dy, height)) * width + mirror(column + dx, width),
      ]);
  const sum = window.reduce((a, [w]) => a + w, 0);
  const mean = (of: (place: number) => number): number =>
    window.reduce((a, [w, place]) => a + (w / sum) * of(place), 0);
  const [mx, my] = [mean((i) => x[i]), mean((i) => y[i])];
  const [vx, vy] = [mean((i) => (x[i] - mx) ** 2), mean((i) => (y[i] - my) ** 2)];
  const covariance = mean((i) => (x[i] - mx) * (y[i] - my));
  return ((2 * mx * my + 0.0001) * (2 * covariance + 0.0009)) / ((mx * mx + my * my + 0.0001) * (vx + vy + 0.0009));
}

test('a perfect reconstruction scores infinity and 1; nothing removed scores NaN; its SSIM map is 1 everywhere', () => {
  const { config } = drawn(rng);
  const original = pixelsIn(rng, config);
  const perfect = qualityOf(original, original, someMask(rng, config), config);
  assert.is(perfect.psnr, Number.POSITIVE_INFINITY);
  near(perfect.ssim, 1, 1e-12, 'SSIM');
  assert.ok(Number.isNaN(qualityOf(original, original, new Float32Array(patchesOf(config)), config).psnr));
  const one = original.subarray(0, config.img_size[0] * config.img_size[1]);
  assert.ok(ssimMap(one, one, config.img_size).every((v) => Math.abs(v - 1) < 1e-12));
});

test('attention: the mean of heads, what lies on patches, and a rollout that stays where nothing attends elsewhere', () => {
  assert.equal([...headMean([1, 2, 3, 4, 5, 9], 2)], [2.5, 3.5, 6]);
  const { patches, cls } = onPatches([0.5, 0.2, 0.3]);
  assert.equal([[...patches], cls], [[0.2, 0.3], 0.5]);
  const tokens = 1 + rng.below(9);
  const own = Float64Array.from({ length: tokens ** 2 }, (_, i) => Number(i % (tokens + 1) === 0));
  const query = rng.below(tokens);
  assert.equal(
    [...rolloutOf([own, own], query)],
    Array.from({ length: tokens }, (_, t) => Number(t === query)),
  );
  const even = own.map(() => 1 / tokens);
  // Half stays by the residual connection, in either block.
  near(rolloutOf([even, even], query)[query], 0.25 + 0.75 / tokens, 1e-12, 'rollout');
  near(
    rolloutOf([even, own], query).reduce((a, b) => a + b),
    1,
    1e-12,
    'its sum',
  );
});

test('heat colours rise in brightness from black to pale yellow', () => {
  const luma = (v: number): number => heat(v).reduce((sum, c, i) => sum + c * [0.299, 0.587, 0.114][i], 0);
  for (let i = 0; i < 100; i++) assert.ok(luma((i + 1) / 100) > luma(i / 100) - 0.5);
  assert.equal([heat(-1), heat(2)], [heat(0), heat(1)]);
  assert.ok(luma(0) < 2 && luma(1) > 240);
});

test.run();
