// The page with other weights than its own, and in a browser without WebGPU.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openDawn } from '../../engine/node/dawn.ts';
import { Engine } from '../../engine/index.ts';
import { random } from '../../kernels/random/random.ts';
import {
  configure,
  type Dataset,
  initialWeights,
  MaskedAutoencoder,
  pasted,
  pixelsOf,
  reconstruct,
  rebuiltPixels,
} from '../../mae/browser.ts';
import { decodeImage } from '../../mae/data/image.ts';
import { saveCheckpoint } from '../../mae/train/checkpoint.ts';
import { chromium, openSite } from '../support/chromium.ts';
import { dropOn, pixelsOn } from './hands.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
// @ts-expect-error build tools have no types
const { webFiles } = await import('../../tools/build-web.mjs');
const files: Record<string, Uint8Array> = chromium
  ? Object.fromEntries([...(await webFiles())].map(([path, bytes]: [string, Uint8Array]) => [`/${path}`, bytes]))
  : {};

inBrowser('without WebGPU the page says what to do, and shows nothing that would not work', async () => {
  await using site = await openSite(files, {
    size: { width: 390, height: 844 },
    // As text: what a compiler adds to a function is not there in the page.
    begin: (page) => page.addInitScript("Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined })"),
  });
  await site.page.waitForSelector('[role="alert"]');
  assert.match((await site.page.locator('[role="alert"]').textContent()) ?? '', /no WebGPU.*chrome:\/\/flags/s);
  assert.not(await site.page.locator('#look').isVisible());
  assert.ok((await site.page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
});

inBrowser(
  `weights of another shape that predict normalised pixels are shown in both renderings (SEED=${seed})`,
  async () => {
    const size = [24, 40] as const;
    const config = configure('mae_vit_nano_patch4_32', {
      img_size: size,
      patch_size: 8,
      depth: 2,
      norm_pix_loss: true,
    });
    const weights = initialWeights(config, seed);
    const data = { name: 'noise', mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3], classes: null };
    const folder = mkdtempSync(join(tmpdir(), 'tesserae-web-'));
    const path = join(folder, 'checkpoint.safetensors');
    await saveCheckpoint(path, { config, weights, data, maskRatio: 0.6, optimizer: null, training: null });
    const checkpoint = new Uint8Array(readFileSync(path));
    rmSync(folder, { recursive: true });
    const rng = random(seed);
    const noise = Uint8Array.from({ length: 31 * 47 * 3 }, () => rng.below(256));
    const bytes = await sharp(noise, { raw: { width: 47, height: 31, channels: 3 } })
      .png()
      .toBuffer();

    await using site = await openSite(
      { ...files, '/weights/cifar10.safetensors': checkpoint },
      { canvas: true, size: { width: 390, height: 844 } },
    );
    const { page } = site;
    const answered = () => page.waitForSelector('#made[aria-busy="false"]', { timeout: 60_000 });
    await answered();
    await dropOn(page, 'noise.png', 'image/png', bytes);
    await answered();
    assert.is(await page.locator('#count').textContent(), '6 of 15 patches');
    assert.match((await page.locator('#about').textContent()) ?? '', /40 × 24 pixels in patches of 8 × 8.*60 % hidden/);
    assert.is(await page.locator('#layer option').count(), 3);

    using device = await openDawn();
    using engine = new Engine(device);
    const model = new MaskedAutoencoder(engine, config, weights);
    const read = () => decodeImage(bytes, 'noise.png', -1);
    const images: Dataset = { ...data, name: 'noise', length: 1, channels: 3, read };
    const [made] = await reconstruct(engine, model, images, { maskRatio: 0.6, seed: 0 });
    const view = { config, mean: data.mean, std: data.std };
    const area = size[0] * size[1];
    for (const statistics of ['original', 'neighbours'] as const) {
      await page.check(`input[value="${statistics}"][name="statistics"]`, { force: true });
      const there = await pixelsOn(page, '#rebuilt', size);
      const here = pasted(pixelsOf(made.img, view), rebuiltPixels(made, view, statistics), made.mask, config);
      const off = Array.from(there, (value, i) => Math.abs(value - 255 * here[(i % 3) * area + Math.floor(i / 3)]));
      assert.ok(Math.max(...off) <= 2, `${statistics}: off by ${Math.max(...off)}`);
    }
  },
);

test.run();
