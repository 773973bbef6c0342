// The page's first tab in a headless Chromium: what a visitor drops is rebuilt as in Node, what is painted is what changes, and no other
// server is asked for anything.
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDawn } from '../../engine/node/dawn.ts';
import { Engine } from '../../engine/index.ts';
import { random } from '../../kernels/random/random.ts';
import { type Dataset, fromPretrained, pasted, pixelsOf, reconstruct, rebuiltPixels } from '../../mae/browser.ts';
import { decodeImage } from '../../mae/data/image.ts';
import { type BrowserPage, chromium, openSite } from '../support/chromium.ts';
import { ACROSS, differing, dropOn, middleOf, pixelsOn, SIDE } from './hands.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const WEIGHTS = 'mae/web/weights/cifar10.safetensors';
const ORDERLY = { timeout: 60_000 };

// @ts-expect-error build tools have no types
const { webFiles } = await import('../../tools/build-web.mjs');
const files: Record<string, Uint8Array> = chromium
  ? Object.fromEntries([...(await webFiles())].map(([path, bytes]: [string, Uint8Array]) => [`/${path}`, bytes]))
  : {};

/** What was asked for beyond the page's own address. */
const strangers: string[] = [];
let site: BrowserPage<never>;

test.before(async () => {
  if (!chromium) return;
  site = await openSite<never>(files, {
    canvas: true,
    size: { width: 1440, height: 900 },
    args: ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'],
    begin: async (page) => {
      page.on('request', (request) => {
        const url = request.url();
        if (!/^(http:\/\/127\.0\.0\.1:\d+\/|blob:|data:)/.test(url)) strangers.push(url);
      });
      // So that a test can take the device away.
      await page.addInitScript(() => {
        const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (options) {
          return ((globalThis as unknown as { device: GPUDevice }).device = await request.call(this, options));
        };
        const shifts = ((globalThis as unknown as { shifts: number[] }).shifts = [] as number[]);
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) shifts.push((entry as unknown as { value: number }).value);
        }).observe({ type: 'layout-shift', buffered: true });
      });
    },
  });
  await settled(() => site.page.evaluate(() => {}));
});
test.after(() => site?.close());

const pixels = (id: string) => pixelsOn(site.page, id);
const drop = (name: string, type: string, bytes: Buffer) => dropOn(site.page, name, type, bytes);
const at = (id: string, patch: number) => middleOf(site.page, id, patch);
const said = async (id: string): Promise<string> => (await site.page.locator(id).textContent()) ?? '';

/** Does something, and waits until the model has answered to it. */
async function settled(act: () => Promise<unknown>): Promise<void> {
  await act();
  await site.page.waitForSelector('#made[aria-busy="false"]', ORDERLY);
  site.check();
}

/** A photograph of sorts, not square: smooth colours with noise. */
async function photograph(salt: number): Promise<Buffer> {
  const rng = random(seed, salt);
  const [width, height] = [90 + rng.below(60), 60 + rng.below(60)];
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const value = 128 + 100 * Math.sin((x * (c + 1)) / 23 + salt) * Math.cos(y / 17 + c) + 10 * rng.normal();
    return Math.max(0, Math.min(255, Math.round(value)));
  });
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 90 })
    .toBuffer();
}

/** Patches that are seen, by the left canvas beside the picture itself. */
async function seen(): Promise<number[]> {
  await site.page.mouse.move(2, 2);
  const changed = differing(await pixels('#seen'), await original());
  return Array.from({ length: ACROSS ** 2 }, (_, l) => l).filter((l) => !changed.includes(l));
}

async function original(): Promise<Uint8Array> {
  await site.page.check('input[value="original"][name="show"]', { force: true });
  const shown = await pixels('#rebuilt');
  await site.page.check('input[value="pasted"]', { force: true });
  return shown;
}

inBrowser(`a dropped picture is rebuilt as in Node, within 2 of 255 (SEED=${seed})`, async () => {
  const bytes = await photograph(1);
  await settled(() => drop('photo.jpg', 'image/jpeg', bytes));
  const there = await pixels('#rebuilt');
  using device = await openDawn();
  using engine = new Engine(device);
  const loaded = await fromPretrained(engine, new Blob([readFileSync(new URL(`../../${WEIGHTS}`, import.meta.url))]));
  if (loaded.kind !== 'autoencoder') return assert.unreachable(loaded.kind);
  const { model, config, data, maskRatio } = loaded;
  const read = () => decodeImage(bytes, 'photo.jpg', -1);
  const images: Dataset = { ...data, name: 'photo', length: 1, channels: 3, read };
  const [made] = await reconstruct(engine, model, images, { maskRatio, seed: 0 });
  const view = { config, mean: data.mean, std: data.std };
  const here = pasted(pixelsOf(made.img, view), rebuiltPixels(made, view), made.mask, config);
  const off = Array.from(there, (value, i) => Math.abs(value - 255 * here[(i % 3) * SIDE ** 2 + Math.floor(i / 3)]));
  assert.ok(Math.max(...off) <= 2, `off by ${Math.max(...off)}`);
  assert.equal(
    await seen(),
    Array.from(made.mask, (_, l) => l).filter((l) => !made.mask[l]),
  );
  assert.match(await said('#count'), /^16 of 64 patches$/);
});

inBrowser('a stroke hides exactly the patches under it, the next one shows them again', async () => {
  await settled(() => site.page.locator('#slider').fill('10'));
  const before = await seen();
  const picture = await original();
  const last = 63 - 7;
  const under = Array.from({ length: ACROSS }, (_, i) => last + i);
  const stroke = async (): Promise<void> => {
    await site.page.mouse.move(...(await at('#seen', last)));
    await site.page.mouse.down();
    // In one leap: what lies between counts, too.
    await site.page.mouse.move(...(await at('#seen', last + ACROSS - 1)));
    await site.page.mouse.up();
  };
  const hides = before.includes(last);
  await settled(stroke);
  const after = await seen();
  const expected = before.filter((l) => !under.includes(l)).concat(hides ? [] : under);
  assert.equal(
    after,
    expected.sort((a, b) => a - b),
  );
  assert.is(await site.page.locator('input[name="kind"]:checked').count(), 0, 'it is no drawn mask any more');
  // What is seen is the picture's own, pixel for pixel; what is hidden is the model's.
  const changed = differing(await pixels('#rebuilt'), picture);
  assert.equal(
    changed,
    Array.from({ length: 64 }, (_, l) => l).filter((l) => !after.includes(l)),
  );
  await settled(stroke);
  assert.equal(
    await seen(),
    [...new Set([...before, ...(hides ? under : [])])].filter((l) => hides || !under.includes(l)).sort((a, b) => a - b),
  );
});

inBrowser('all of it works by keyboard, and each step says where it is', async () => {
  const { keyboard } = site.page;
  await site.page.locator('#theme').focus();
  await keyboard.press('Tab');
  assert.is(await site.page.evaluate(() => document.activeElement?.id), 'seen');
  await keyboard.press('ArrowUp');
  await keyboard.press('ArrowLeft');
  assert.match(await said('#said'), /^row 4, column 4: (hidden|seen)$/);
  const [count] = (await said('#count')).split(' ').map(Number);
  const was = (await said('#said')).endsWith('hidden');
  await settled(() => keyboard.press('Space'));
  assert.match(await said('#said'), was ? /seen$/ : /hidden$/);
  assert.is(Number((await said('#count')).split(' ')[0]), count + (was ? 1 : -1));
  const plain = await pixels('#rebuilt');
  await settled(() => keyboard.press('Tab'));
  assert.is(await site.page.evaluate(() => document.activeElement?.id), 'rebuilt');
  const looked = await pixels('#rebuilt');
  await settled(() => keyboard.press('ArrowDown'));
  assert.ok(differing(looked, await pixels('#rebuilt')).length > 0);
  await keyboard.press('Escape');
  assert.equal(differing(plain, await pixels('#rebuilt')), []);
  await site.page.locator('#slider').focus();
  await settled(() => keyboard.press('End'));
  assert.is(await said('#count'), '1 of 64 patches');
  await settled(() => keyboard.press('Home'));
  assert.is(await said('#quality'), 'nothing is hidden');
  await site.page.locator('#theme').focus();
  const theme = () => site.page.evaluate(() => document.documentElement.dataset.theme);
  assert.is(await theme(), 'light');
  await keyboard.press('Enter');
  assert.is(await theme(), 'dark');
  await keyboard.press('Enter');
  assert.is(await theme(), 'light');
});

inBrowser('pointing at a patch shows where the encoder looks, by block and over all of them', async () => {
  await settled(() => site.page.locator('[data-sample]').nth(1).click());
  const plain = await pixels('#rebuilt');
  await settled(async () => site.page.mouse.move(...(await at('#rebuilt', 27))));
  const gaze = await pixels('#rebuilt');
  assert.ok(differing(plain, gaze).length > 60);
  await site.page.locator('#layer').selectOption('all');
  assert.ok(differing(gaze, await pixels('#rebuilt')).length > 0);
  await site.page.mouse.move(2, 2);
  assert.equal(differing(plain, await pixels('#rebuilt')), []);
});

inBrowser('what is no picture and a camera that is refused are said plainly, and change nothing', async () => {
  const before = await pixels('#rebuilt');
  await drop('text.png', 'image/png', Buffer.from('no picture'));
  await site.page.waitForFunction(() => document.querySelector('#said')?.textContent, null, ORDERLY);
  assert.match(await said('#said'), /^image text\.png cannot be read/);
  await drop('notes.txt', 'text/plain', Buffer.from('no picture'));
  assert.match(await said('#said'), /no picture: take a JPEG/);
  await site.page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = () =>
      Promise.reject(new DOMException('Permission denied', 'NotAllowedError'));
  });
  await site.page.locator('#camera').click();
  await site.page.evaluate(() => Reflect.deleteProperty(navigator.mediaDevices, 'getUserMedia'));
  assert.match(await said('#said'), /The camera was not allowed/);
  assert.equal(differing(before, await pixels('#rebuilt')), []);
  site.check();
});

inBrowser('the camera is rebuilt as it moves, and stops', async () => {
  const before = await pixels('#rebuilt');
  await site.page.locator('#camera').click();
  await site.page.waitForFunction(
    () => document.querySelector('#camera')?.textContent?.startsWith('Stop'),
    null,
    ORDERLY,
  );
  await settled(() => site.page.locator('#camera').click());
  assert.match(await said('#camera'), /^Use/);
  assert.ok(differing(before, await pixels('#rebuilt')).length > 30);
});

inBrowser('a lost device is made anew, and the picture is the same', async () => {
  await settled(() => site.page.locator('[data-sample]').nth(2).click());
  await settled(() => site.page.locator('#slider').fill('40'));
  const before = await pixels('#rebuilt');
  await site.page.evaluate(() => (globalThis as unknown as { device: GPUDevice }).device.destroy());
  await settled(() => site.page.locator('#slider').fill('41'));
  await settled(() => site.page.locator('#slider').fill('40'));
  assert.equal(differing(before, await pixels('#rebuilt')), []);
});

inBrowser('nothing was asked of another server, nothing jumped, and nothing is wider than a small screen', async () => {
  assert.equal(strangers, []);
  const asked = await site.page.evaluate(() =>
    performance.getEntriesByType('resource').flatMap((entry) => {
      const { name, initiatorType } = entry as unknown as { name: string; initiatorType: string };
      return name.endsWith('cifar10.safetensors') ? [initiatorType] : [];
    }),
  );
  assert.equal(asked.slice(0, 1), ['link'], 'the weights come before the script');
  const shifts = await site.page.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts);
  assert.ok(shifts.reduce((sum, shift) => sum + shift, 0) < 0.01, `${shifts}`);
  for (const width of [390, 768, 1440]) {
    await site.page.setViewportSize({ width, height: 844 });
    assert.ok((await site.page.evaluate(() => document.documentElement.scrollWidth)) <= width, `at ${width}`);
  }
  // A server that is asked all the same is not reached.
  const refused = await site.page.evaluate(() => fetch('https://example.org/').then(String, (error) => error.message));
  assert.match(refused, /Failed to fetch/);
  const violation = await Promise.resolve()
    .then(() => site.check())
    .then(
      () => '',
      (error: Error) => error.message,
    );
  assert.match(violation, /Content Security Policy/);
});

test.run();
