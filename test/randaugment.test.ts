// RandAugment's operations beside Pillow's on pieces of 50 photographs (test/oracle/randaugment.py; on whole ones where ORACLE names the folder
// that it wrote): equal where its arithmetic is whole numbers, within one where it is not; and how operations are drawn.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import {
  applyRandAugment,
  drawRandAugment,
  fillOf,
  jitterSlots,
  parseRandAugment,
  planOf,
  RAND_OPERATIONS,
  type RandDraw,
} from '../mae/data/randaugment.ts';
import { IMAGENET_MEAN } from '../mae/data/dataset.ts';
import { digest, fixture, photographs, unpacked } from './support/photographs.ts';

interface Case {
  readonly image: number;
  readonly op: RandDraw['operation'];
  readonly level: number;
  readonly sign: 1 | -1;
  /** What Pillow makes of it, or its digest where that must be met byte for byte. */
  readonly out?: string;
  readonly sha256?: string;
}
/** Pillow computes these in floating point. */
const INEXACT = ['AutoContrast', 'Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY'];

const whole = process.env.ORACLE;
const [width, height] = whole ? [224, 224] : [16, 12];
const cases: Case[] = whole
  ? JSON.parse(readFileSync(join(whole, 'randaugment.json'), 'utf8'))
  : fixture<Case[]>('randaugment.json');
const two = (i: number): string => String(i).padStart(2, '0');

/** The upper left corner of a piece, or a whole photograph. */
const corners = whole
  ? []
  : photographs().map(({ rgb, width: all }) =>
      Uint8Array.from({ length: 3 * width * height }, (_, k) => {
        const [row, rest] = [Math.floor(k / (3 * width)), k % (3 * width)];
        return rgb[row * 3 * all + rest];
      }),
    );
const imageOf = ({ image }: Case): Uint8Array =>
  whole ? readFileSync(join(whole, `in${two(image)}.rgb`)) : corners[image];
const answerOf = ({ image, op, out }: Case): Uint8Array | null =>
  whole ? readFileSync(join(whole, `${two(image)}-${op}.rgb`)) : out === undefined ? null : unpacked(out);

const device = await openDawn({ raiseLimits: false });
test.after(() => device.dispose());

test('the fill is what the reference gives to timm', () => {
  assert.equal([...fillOf(IMAGENET_MEAN)], [124, 116, 104]);
});

for (const operation of RAND_OPERATIONS) {
  test(`${operation} of 50 images is Pillow's${INEXACT.includes(operation) ? ', within one' : ''}`, async () => {
    using engine = new Engine(device);
    const types = { bytes: 'u32', plan: 'f32', fill: 'u32' } as const;
    const program = engine.compile(types, (x, t) => ({
      y: applyRandAugment(t, x.bytes, x.plan, x.fill, { height, width, chans: 3 }),
    }));
    const own = cases.filter((c) => c.op === operation);
    assert.is(own.length, 50);
    for (const one of own) {
      const padded = new Uint8Array(4 * Math.ceil((3 * width * height) / 4));
      padded.set(imageOf(one));
      const { level, sign, sha256 } = one;
      const plan = planOf([[{ operation, level, sign }]], [height, width]);
      const words = new Uint32Array(padded.buffer);
      const { y } = await (
        await program.run({
          bytes: { data: words, shape: [1, words.length] },
          plan: { data: plan, shape: [1, 1, 8] },
          fill: { data: fillOf(IMAGENET_MEAN), shape: [3] },
        })
      ).read();
      const got = new Uint8Array(y.buffer, y.byteOffset, 3 * width * height);
      const where = `image ${one.image}, level ${level}, sign ${sign}`;
      const want = answerOf(one);
      if (!want) {
        assert.is(digest(got), sha256, where);
        continue;
      }
      const apart = want.map((v, i) => Math.abs(v - got[i]));
      const most = apart.reduce((a, b) => Math.max(a, b));
      const count = apart.filter((d) => d > 0).length;
      const good = INEXACT.includes(operation) ? most <= 1 && count < apart.length / 10 : most === 0;
      assert.ok(good, `${count} of ${apart.length} differ, by ${most}; ${where}`);
    }
  });
}

test('two of fifteen, each half of the time, about the magnitude, the same for the same image', () => {
  const policy = parseRandAugment('rand-m9-mstd0.5-inc1');
  assert.equal(policy, { magnitude: 9, mstd: 0.5, count: 2 });
  const key = (sample: number) => ({ seed: 5, epoch: 1, sample });
  assert.equal(drawRandAugment(key(3), policy), drawRandAugment(key(3), policy));
  const all = Array.from({ length: 4000 }, (_, sample) => drawRandAugment(key(sample), policy)).flat();
  const done = all.filter((one) => one !== null);
  assert.is(all.length, 8000);
  assert.ok(Math.abs(done.length / 8000 - 0.5) < 0.03);
  const counts = RAND_OPERATIONS.map((name) => done.filter(({ operation }) => operation === name).length);
  for (const count of counts) assert.ok(Math.abs(count / done.length - 1 / 15) < 0.02, String(counts));
  const levels = done.map(({ level }) => level);
  const mean = levels.reduce((a, b) => a + b) / levels.length;
  assert.ok(Math.abs(mean - 9) < 0.05 && Math.max(...levels) <= 10, String(mean));
  assert.ok(Math.abs(done.filter(({ sign }) => sign > 0).length / done.length - 0.5) < 0.04);
});

test('colour jitter: three operations in every order, factors about 1, the same for the same image', () => {
  const slots = (sample: number) => jitterSlots({ seed: 9, epoch: 0, sample }, 0.4);
  assert.equal(slots(7), slots(7));
  const orders = new Set<string>();
  const factors: number[] = [];
  for (let sample = 0; sample < 600; sample++) {
    const all = slots(sample);
    const [a, b, c] = [0, 1, 2].map((i) => all.slice(8 * i, 8 * i + 8));
    orders.add([a, b, c].map(([operation]) => operation).join());
    factors.push(a[1], b[1], c[1]);
  }
  assert.is(orders.size, 6);
  assert.ok(Math.min(...factors) >= 0.6 && Math.max(...factors) <= 1.4 && Math.max(...factors) > 1.35);
});

test('policies that are not there are told', () => {
  for (const [text, says] of [
    ['original', /must be of the form rand-m9-mstd0.5-inc1/],
    ['rand-m11-inc1', /at most 10, got 11/],
    ['rand-m9', /add -inc1/],
    ['rand-m9-w0-inc1', /w0 of rand-m9-w0-inc1 is not known/],
  ] as const)
    assert.throws(() => parseRandAugment(text), says);
});
test.run();
