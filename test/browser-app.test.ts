// A page that owns its device, which has no features and WebGPU's default limits: two engines on it, its loss between two frames, and
// models that come and go.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type * as App from './browser/app.ts';
import { chromium, openPage } from './support/chromium.ts';

const inBrowser = chromium ? test : test.skip;

inBrowser('two engines take turns on one device, and each gives the bits that it gives alone', async () => {
  await using page = await openPage<typeof App>('test/browser/app.ts');
  const { apart, between } = await page.call('twoEngines');
  assert.is(apart, 0);
  assert.is(between, 35, 'they compute different things');
});

inBrowser(
  'a device that is lost between two frames is told at the next, and another goes on with the same bits',
  async () => {
    await using page = await openPage<typeof App>('test/browser/app.ts');
    const { said, after, again } = await page.call('lostBetweenFrames');
    assert.is(said.length, 4, said.join('\n'));
    for (const message of said) assert.match(message, /^GPU device was destroyed/);
    assert.is(after, 0, 'no frame is encoded on it');
    assert.is(again, 0);
  },
);

inBrowser('models come and go with their engines, and leave no buffer', async () => {
  await using page = await openPage<typeof App>('test/browser/app.ts');
  const { left, most } = await page.call('comeAndGo', 4);
  assert.is(left, 0);
  assert.ok(most[0] > 0 && most.every((bytes) => bytes === most[0]), most.join());
});

test.run();
