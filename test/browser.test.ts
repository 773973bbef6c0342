// The same engine and model in a headless Chromium: what it trains, rebuilds and computes is what Node's does.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDawn } from '../engine/node/dawn.ts';
import { configure, initialWeights } from '../mae/index.ts';
import { saveCheckpoint } from '../mae/train/checkpoint.ts';
import type * as Canvas from './browser/canvas.ts';
import type * as Life from './browser/engine.ts';
import type * as Nano from './browser/nano.ts';
import { NANO, rebuild, train, type Trained } from './browser/nano.ts';
import { type BrowserPage, chromium, openPage } from './support/chromium.ts';
import { adapterOf, onAdapter } from './support/on-adapter.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const training = { seed, batch: 4, steps: 4 };
const ENTRY = 'test/browser/nano.ts';

/** A checkpoint as the trainer saves it. */
async function checkpointBytes(): Promise<Uint8Array<ArrayBuffer>> {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-browser-'));
  try {
    const path = join(folder, 'checkpoint.safetensors');
    const config = configure(NANO);
    const data = { name: 'noise', mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3], classes: null };
    const weights = initialWeights(config, seed);
    await saveCheckpoint(path, { config, weights, data, maskRatio: 0.75, optimizer: null, training: null });
    return new Uint8Array(readFileSync(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const checkpoint = await checkpointBytes();
let page: BrowserPage<typeof Nano>;
let inPage: Trained;
test.before(async () => {
  if (!chromium) return;
  page = await openPage<typeof Nano>(ENTRY, { files: { '/checkpoint.safetensors': checkpoint } });
  inPage = await page.call('trainHere', training);
});
test.after(() => page?.close());

/** Norm of the difference over norm. */
function apart(a: readonly number[], b: readonly number[]): number {
  assert.is(a.length, b.length);
  return Math.hypot(...a.map((x, i) => x - b[i])) / Math.hypot(...b);
}

function alike(node: Trained): void {
  assert.is(inPage.losses.length, training.steps);
  assert.ok(inPage.losses[training.steps - 1] < inPage.losses[0], `it does not learn: ${inPage.losses}`);
  const worst = Math.max(...inPage.losses.map((loss, i) => Math.abs(loss - node.losses[i]) / node.losses[i]));
  assert.ok(worst <= 1e-4, `page ${inPage.losses}, Node ${node.losses} on ${node.adapter}, SEED=${seed}`);
}

inBrowser(`the nano model trains in a page with the losses of Node's adapter (SEED=${seed})`, async () => {
  using device = await openDawn();
  alike(await train(device, training));
});

const swiftshader = chromium && (await adapterOf('swiftshader'));
(swiftshader ? test : test.skip)('and with those of SwiftShader in Node', async () => {
  const node = await onAdapter<Trained>(swiftshader!, ENTRY, 'train', training);
  assert.equal([inPage.subgroups, node.subgroups].flat(), [4, 4, 4, 4]);
  assert.is(inPage.profile, node.profile);
  alike(node);
});

inBrowser('a checkpoint that a page fetches rebuilds images as in Node: the same pixels, the same mask', async () => {
  const there = await page.call('rebuildHere', `${page.address}checkpoint.safetensors`, seed);
  using device = await openDawn();
  const here = await rebuild(device, new Blob([checkpoint]), seed);
  assert.is(there.length, 2);
  for (const [i, { img, mask, pred, loss }] of there.entries()) {
    assert.equal(img, here[i].img);
    assert.equal(mask, here[i].mask);
    assert.ok(apart(pred, here[i].pred) <= 1e-4, `SEED=${seed}`);
    assert.ok(Math.abs(loss - here[i].loss) <= 1e-4 * here[i].loss, `SEED=${seed}`);
  }
  assert.not.equal(there[0].mask, there[1].mask);
});

inBrowser('what goes wrong in a page fails the test that made it', async () => {
  const failed = page.call('trainHere', { ...training, batch: 0 });
  const message = await failed.then(
    () => '',
    (error: Error) => error.message,
  );
  assert.match(message, /must/);
  await page.page.evaluate(`setTimeout(() => { throw new Error('later'); })`);
  await page.page.waitForEvent('pageerror', { timeout: 5000 }).catch(() => {});
  assert.throws(() => page.check(), /later/);
});

inBrowser(
  'the engine on a device of the page: computes, says what is wrong, and leaves nothing but the device',
  async () => {
    await using life = await openPage<typeof Life>('test/browser/engine.ts');
    const [a, b] = [
      [0.5, -1, 2, 3],
      [0.25, 0, -2, 1],
    ];
    const { y, bytes, usable, message } = await life.call('round', a, b);
    const gelu = [0.5800294, -0.1586553, 0, 3.9998733];
    assert.ok(
      y.every((value, i) => Math.abs(value - gelu[i]) < 1e-5),
      `${y}`,
    );
    assert.match(message, /^add: /);
    assert.ok(bytes[0] > 0);
    assert.is(bytes[1], 0);
    assert.ok(usable);
  },
);

inBrowser('a picture of a page shows what WebGPU painted on its canvas', async () => {
  const html = '<canvas width="64" height="48"></canvas>';
  await using painted = await openPage<typeof Canvas>('test/browser/canvas.ts', { canvas: true, html });
  await painted.call('paint', 1, 0, 0.2);
  const png = await painted.page.locator('canvas').screenshot();
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  assert.equal([info.width, info.height], [64, 48]);
  for (let i = 0; i < data.length; i++) assert.is(data[i], [255, 0, 51][i % 3]);
});

inBrowser('picks kept in IndexedDB outlive the page, and a device takes them', async () => {
  await using life = await openPage<typeof Life>('test/browser/engine.ts');
  assert.equal(await life.call('keep', 'one'), ['one']);
  await life.load();
  assert.equal((await life.call('keep', 'two')).sort(), ['one', 'two']);
  await life.load();
  const { knobs, adapters, cleared } = await life.call('kept', 'one');
  assert.equal(knobs, { TM: 4 });
  assert.is(adapters.length, 1);
  assert.equal(cleared, []);
});

test.run();
