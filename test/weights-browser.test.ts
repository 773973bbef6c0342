// Weights of other projects in a headless Chromium: the same bytes as in Node, from an address and from a File, and the same refusal.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type * as Weights from './browser/weights.ts';
import { digestOf } from './browser/weights.ts';
import { type BrowserPage, chromium, openPage } from './support/chromium.ts';
import { PICKLES } from './support/hostile-pickles.ts';

const FIXTURES = fileURLToPath(new URL('./oracle/fixtures/weights', import.meta.url));
const HEADS = { num_heads: 2, decoder_num_heads: 1 };
const read = (path: string): Uint8Array => new Uint8Array(readFileSync(join(FIXTURES, path)));
const HF = ['model.safetensors', 'config.json', 'preprocessor_config.json'];
const inBrowser = chromium ? test : test.skip;
let page: BrowserPage<typeof Weights>;

test.before(async () => {
  if (!chromium) return;
  const files = ['full.pth', 'full-legacy.pth', 'bfloat16.safetensors', ...HF.map((name) => `hf/${name}`)];
  const hostile = ['/hostile.pth', new Uint8Array(PICKLES[0][1])] as const;
  const served = Object.fromEntries([...files.map((path) => [`/${path}`, read(path)] as const), hostile]);
  page = await openPage<typeof Weights>('test/browser/weights.ts', { files: served });
});
test.after(() => page?.close());

inBrowser('Files: zip archive, legacy pickle and bf16', async () => {
  for (const name of ['full.pth', 'full-legacy.pth', 'bfloat16.safetensors'])
    assert.equal(await page.call('digestOfFile', `/${name}`, HEADS), await digestOf(join(FIXTURES, name), HEADS));
});

inBrowser('a folder of transformers at an address', async () => {
  assert.equal(await page.call('digestAt', '/hf/model.safetensors'), await digestOf(join(FIXTURES, 'hf')));
});

inBrowser('a pickle that would run code is refused', async () => {
  assert.match(await page.call('refusalOf', '/hostile.pth'), /which is not allowed: it would run code/);
});

test.run();
