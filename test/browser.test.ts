// The same engine and model in a headless Chromium: the nano model trains with the losses that it has in Node.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDawn } from '../engine/node/dawn.ts';
import type * as Nano from './browser/nano.ts';
import { train, type Trained } from './browser/nano.ts';
import { type BrowserPage, chromium, openPage } from './support/chromium.ts';
import { adapterOf, onAdapter } from './support/on-adapter.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const training = { seed, batch: 4, steps: 4 };
const ENTRY = 'test/browser/nano.ts';

let page: BrowserPage<typeof Nano>;
let inPage: Trained;
test.before(async () => {
  if (!chromium) return;
  page = await openPage<typeof Nano>(ENTRY);
  inPage = await page.call('trainHere', training);
});
test.after(() => page?.close());

/** Largest relative difference. */
const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]) / Math.abs(b[i])));

function alike(node: Trained): void {
  assert.is(inPage.losses.length, training.steps);
  assert.ok(inPage.losses[training.steps - 1] < inPage.losses[0], `it does not learn: ${inPage.losses}`);
  const text = `page ${inPage.losses}, Node ${node.losses} on ${node.adapter}, SEED=${seed}`;
  assert.ok(apart(inPage.losses, node.losses) <= 1e-4, text);
}

inBrowser(`the nano model trains in a page with the losses of Node's adapter (SEED=${seed})`, async () => {
  using device = await openDawn();
  alike(await train(device, training));
});

const swiftshader = chromium && (await adapterOf('swiftshader'));
(swiftshader ? test : test.skip)('and with those of SwiftShader in Node', async () => {
  const node = await onAdapter<Trained>(swiftshader!, ENTRY, 'train', training);
  assert.equal(
    [inPage.subgroups, node.subgroups],
    [
      [4, 4],
      [4, 4],
    ],
  );
  assert.is(inPage.profile, node.profile);
  alike(node);
});

inBrowser('what goes wrong in a page fails the test that made it', async () => {
  const failed = page.call('trainHere', { ...training, batch: 0 });
  const message = await failed.then(
    () => '',
    (error: Error) => error.message,
  );
  assert.match(message, /must/);
});

test.run();
