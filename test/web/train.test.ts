// The training tab as a visitor uses it, in a headless Chromium: by clicks and keys, with files of their own; and for as long as they like.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { loadCheckpoint } from '../../mae/train/checkpoint.ts';
import { type BrowserPage, chromium, openSite } from '../support/chromium.ts';
import { childrenBytes, heapOf } from '../support/memory-of.ts';
import { tinyRun } from '../support/tiny-run.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
/** `npm run test:web` lets a run go on for longer. */
const MINUTES = Number(process.env.MINUTES ?? 0.2);
const PATIENCE = { timeout: 240_000 };

const folder = mkdtempSync(join(tmpdir(), 'tesserae-tab-'));
const set = join(folder, 'set');
const strangers: string[] = [];
const weights: string[] = [];
let site: BrowserPage<never>;
let checkpoint = '';

test.before(async () => {
  if (!chromium) return;
  const rng = random(seed);
  for (let i = 0; i < 24; i++) {
    const data = Uint8Array.from({ length: 3 * 40 * 36 }, () => rng.below(256));
    mkdirSync(join(set, i % 2 ? 'a' : 'b'), { recursive: true });
    writeFileSync(
      join(set, i % 2 ? 'a' : 'b', `${i}.png`),
      await sharp(data, { raw: { width: 40, height: 36, channels: 3 } })
        .png()
        .toBuffer(),
    );
  }
  writeFileSync(join(folder, 'notes.txt'), 'no picture');
  checkpoint = (await tinyRun({ data_path: set, output_dir: join(folder, 'run'), resume: '', max_steps: 1 })).path;
  // @ts-expect-error build tools have no types
  const { webFiles } = await import('../../tools/build-web.mjs');
  const files = [...(await webFiles())].map(([path, bytes]: [string, Uint8Array]) => [`/${path}`, bytes]);
  site = await openSite<never>(Object.fromEntries(files), {
    size: { width: 1200, height: 900 },
    args: ['--js-flags=--expose-gc'],
    begin: async (page) => {
      page.on('dialog', (dialog) => dialog.accept());
      page.on('request', (request) => {
        const url = request.url();
        if (!/^(http:\/\/127\.0\.0\.1:\d+\/|blob:|data:)/.test(url)) strangers.push(url);
        if (url.endsWith('/cifar10.safetensors')) weights.push(url);
      });
    },
  });
  await site.page.goto(`${site.address}#train`);
  await entered('none');
});
test.after(async () => {
  await site?.close();
  rmSync(folder, { recursive: true });
});

const tab = (selector: string) => site.page.locator(`#train ${selector}`);
const text = async (selector: string): Promise<string> => (await tab(selector).textContent()) ?? '';
const figure = async (key: string): Promise<number> =>
  Number((await text(`[data-key="${key}"] dd`)).replaceAll(',', ''));

async function entered(...states: string[]): Promise<string> {
  const any = [...states, 'failed'].map((state) => `#train[data-state="${state}"]`).join(',');
  await site.page.waitForSelector(any, PATIENCE);
  site.check();
  const state = (await site.page.locator('#train').getAttribute('data-state')) ?? '';
  assert.ok(states.includes(state), `${state}: ${await text('.said')}`);
  return state;
}

async function reached(step: number): Promise<void> {
  await site.page.waitForFunction(
    (least) => {
      const found = document.querySelector('#train [data-key="step"] dd')?.textContent ?? '';
      return Number(found.replaceAll(',', '')) >= least || document.querySelector('#train[data-state="failed"]');
    },
    step,
    // By the clock: a page that is hidden draws no frames.
    { ...PATIENCE, polling: 100 },
  );
  await entered('running', 'paused');
}

inBrowser('a checkpoint goes on with the images of the page; keys pause it, change it and bring it back', async () => {
  await tab('#open').setInputFiles(checkpoint);
  await entered('running');
  await reached(3);
  assert.match(await text('#log'), /this run had 16 images, here are 3072 others: .* epoch 1/);
  assert.ok((await figure('loss')) > 0 && (await text('[data-key="bytes"] dd')).includes('MiB'));

  await tab('#go').focus();
  await site.page.keyboard.press('Enter');
  await entered('paused');
  assert.is(await text('#go'), 'Go on');
  const at = await figure('step');
  await tab('input[name="mask_ratio"]').focus();
  await site.page.keyboard.press('ArrowLeft');
  assert.is(await text('#ratio-now'), '70 %');
  assert.is(await figure('step'), at, 'it went on');

  const [download] = await Promise.all([site.page.waitForEvent('download', PATIENCE), tab('#save').click()]);
  assert.is(download.suggestedFilename(), `tesserae-step-${at}.safetensors`);
  const path = join(folder, 'download.safetensors');
  await download.saveAs(path);
  const { maskRatio, training } = await loadCheckpoint(path, { training: true });
  assert.is(maskRatio, 0.7);
  assert.equal([training?.recipe.mask_ratio, training?.recipe.data_path, training?.images], [0.7, 'cifar10', 3072]);
  assert.match(
    await text('#command'),
    /npx tesserae pretrain --resume tesserae-step-\d+\.safetensors --output_dir \S+$/,
  );

  await tab('#go').click();
  await entered('running');
  await reached(at + 2);
  await tab('#lose').evaluate((button) => (button as unknown as { click(): void }).click());
  await tab('#log li')
    .filter({ hasText: /going on from step \d+/ })
    .waitFor({ state: 'attached', ...PATIENCE });
  await reached(at + 6);
  assert.ok((await tab('#shots figure').count()) >= 3, 'no picture of the fixed images');

  await tab('#end').click();
  await entered('none');
  assert.is(await text('#go'), 'Start');
});

inBrowser('a folder of the visitor is trained on; what is no picture is said', async () => {
  await tab('#folder').setInputFiles(set);
  assert.match(await text('#pictures'), /^24 pictures; they stay/);
  await tab('select[name="batch_size"]').selectOption('16');
  await tab('#go').click();
  await entered('running');
  await reached(1);
  assert.match(await text('#run'), /20 images to learn from, 4 held out/);
  await tab('#end').click();
  await entered('none');
  await tab('#open').setInputFiles(join(folder, 'notes.txt'));
  assert.match(await text('.said'), /neither a picture .* nor a checkpoint/);
  await tab('label:has(input[value="shipped"])').click();
});

inBrowser('a page that draws no frames, as a hidden one, trains on', async () => {
  await site.page.evaluate(() => {
    const page = globalThis as unknown as Record<string, unknown>;
    page.ofBefore = page.requestAnimationFrame;
    page.requestAnimationFrame = () => 0;
  });
  await tab('#open').setInputFiles(checkpoint);
  await entered('running');
  await reached(8);
  await tab('#end').click();
  await site.page.evaluate(() => {
    const page = globalThis as unknown as Record<string, unknown>;
    page.requestAnimationFrame = page.ofBefore;
  });
});

inBrowser('a page that begins with this tab does not jump', async () => {
  await site.page.addInitScript(() => {
    const shifts = ((globalThis as unknown as { shifts: number[] }).shifts = [] as number[]);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
    }).observe({ type: 'layout-shift', buffered: true });
  });
  for (const width of [1440, 1000, 390]) {
    await site.page.setViewportSize({ width, height: 844 });
    await site.page.reload();
    await entered('none');
    // Two frames later it is told of what moved in the first.
    const shifts = await site.page.evaluate(async () => {
      for (let i = 0; i < 2; i++) await new Promise(requestAnimationFrame);
      await new Promise((later) => setTimeout(later));
      return (globalThis as unknown as { shifts: number[] }).shifts;
    });
    assert.ok(shifts.reduce((sum, shift) => sum + shift, 0) < 0.01, `at ${width}: ${shifts}`);
  }
});

inBrowser('nothing is wider than a phone', async () => {
  await site.page.setViewportSize({ width: 390, height: 844 });
  for (const summary of await tab('summary').all()) await summary.click();
  const wide = await site.page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `${wide} pixels are wide`);
  await site.page.setViewportSize({ width: 1200, height: 900 });
});

inBrowser(`a run of ${MINUTES} minutes takes no more memory than at its beginning`, async () => {
  await tab('#open').setInputFiles(checkpoint);
  await entered('running');
  await reached(20);
  const took: { bytes: number; heap: number; resident: number }[] = [];
  const every = Math.max(2000, (MINUTES * 60_000) / 40);
  for (const until = Date.now() + MINUTES * 60_000; Date.now() < until; ) {
    await site.page.waitForTimeout(every);
    const heap = await heapOf(site.page);
    took.push({ bytes: Number.parseFloat(await text('[data-key="bytes"] dd')), heap, resident: childrenBytes() });
    if (MINUTES > 1) process.stderr.write(`step ${await figure('step')} ${JSON.stringify(took.at(-1))}\n`);
  }
  await entered('running');
  assert.ok(took.length >= 2);
  const [first, last] = [took[Math.floor(took.length / 4)], took.at(-1)!];
  const grown = (name: 'bytes' | 'heap' | 'resident') => `${name} grew from ${first[name]} to ${last[name]}`;
  assert.ok(last.bytes <= 1.05 * first.bytes, grown('bytes'));
  assert.ok(last.heap < 1.25 * first.heap + 4e6, grown('heap'));
  assert.ok(last.resident < 1.15 * first.resident + 2e7, grown('resident'));
  await tab('#end').click();
  assert.equal(strangers, []);
});

inBrowser('a page that begins with this tab does not ask for the weights of the other', async () => {
  weights.length = 0;
  await site.page.reload();
  await entered('none');
  assert.equal(weights, []);
});

test.run();
