// The resize is PIL's, bit for bit: hashes of Pillow 12.3.0's own output, and host code against the plain reference.
import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { resizeAcross, resizeDown } from '../../kernels/augment/augment.ref.ts';
import { bicubicTaps, PRECISION_BITS } from '../../kernels/augment/coefficients.ts';
import { layoutCrops, normalizeTable } from '../../kernels/augment/layout.ts';
import { random } from '../../kernels/random/random.ts';
import { resizeBytes } from '../../mae/data/resize.ts';

/** height, width, channels, new height, new width, SHA-256 of `Image.resize((w, h), BICUBIC).tobytes()` on `pixels(1000 + i)`. */
const PILLOW: readonly (readonly [number, number, number, number, number, string])[] = [
  [1, 1, 3, 7, 5, '2a8c476167b58dd5'],
  [48, 64, 3, 32, 32, '377bc76608405591'],
  [97, 31, 1, 224, 20, '90ac5cdf1a414616'],
  [300, 400, 3, 224, 224, 'c14b9c91a673a64e'],
  [17, 45, 4, 17, 33, '1203c045ede50bd1'],
  [1000, 9, 3, 16, 9, '1d33951ef32a5dad'],
  [37, 53, 3, 14, 21, '03aefad0da553ece'],
];

/** Bytes of which half are 0 or 255, so that sums overshoot and clip. */
function pixels(seed: number, n: number): Uint8Array {
  const rng = random(seed);
  return Uint8Array.from({ length: n }, () => {
    const v = rng.below(512);
    return v < 256 ? v : v & 1 ? 255 : 0;
  });
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16);

for (const [i, [height, width, channels, h, w, want]] of PILLOW.entries()) {
  test(`${height}x${width}x${channels} to ${h}x${w} is what Pillow makes`, () => {
    const data = pixels(1000 + i, height * width * channels);
    assert.is(sha(resizeBytes({ data, height, width, channels }, { height: h, width: w })), want);
    assert.is(sha(resizeDown(resizeAcross(data, height, width, channels, w), height, w, channels, h)), want);
  });
}

test('host code and reference agree at random sizes', () => {
  const seed = Date.now() % 2 ** 31;
  const rng = random(seed);
  for (let i = 0; i < 60; i++) {
    const [height, width, h, w] = [0, 0, 0, 0].map(() => 1 + rng.below(90));
    const channels = 1 + rng.below(5);
    const data = pixels(rng.below(2 ** 31), height * width * channels);
    const got = resizeBytes({ data, height, width, channels }, { height: h, width: w });
    const want = resizeDown(resizeAcross(data, height, width, channels, w), height, w, channels, h);
    assert.equal(got, want, `seed ${seed}: ${height}x${width}x${channels} to ${h}x${w}`);
  }
});

test('coefficients of a place sum to one and stay inside the axis', () => {
  for (const [from, to] of [
    [1, 9],
    [9, 1],
    [500, 224],
    [224, 225],
    [7, 7],
    [4000, 3],
  ]) {
    const { stride, records } = bicubicTaps(from, to);
    assert.is(records.length, stride * to);
    for (let i = 0; i < to; i++) {
      const [first, count, ...weights] = records.subarray(i * stride, (i + 1) * stride);
      assert.ok(first >= 0 && count >= 1 && first + count <= from);
      const sum = weights.slice(0, count).reduce((s, v) => s + v, 0);
      assert.ok(Math.abs(sum / 2 ** PRECISION_BITS - 1) < count * 2 ** -PRECISION_BITS, `${from} to ${to} at ${i}`);
    }
  }
  assert.throws(() => bicubicTaps(0, 3), /whole numbers >= 1, got 0 to 3/);
});

test('images that share sizes share tables, and each starts a block of its own', () => {
  const crop = { offset: 0, pitch: 90, height: 20, width: 30, flip: false };
  const one = layoutCrops([crop], { chans: 3, height: 16, width: 16 });
  const three = layoutCrops([crop, crop, { ...crop, flip: true }], { chans: 3, height: 16, width: 16 });
  assert.equal(three.taps, one.taps);
  assert.is(three.mid, 3 * one.mid);
  assert.is(three.mid % 192, 0);
});

test("normalised values are torchvision's: f32 (v / 255 - mean) / std", () => {
  const table = normalizeTable([0.485, 0.5], [0.229, 0.25]);
  for (const [i, value] of table.entries()) {
    const [mean, std] = i < 256 ? [0.485, 0.229] : [0.5, 0.25];
    assert.ok(Math.abs(value - ((i & 255) / 255 - mean) / std) < 1e-6);
  }
  assert.throws(() => normalizeTable([0], [1, 1]), /1 means but 2/);
});
test.run();
