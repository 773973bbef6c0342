// `tesserae reconstruct` from end to end: every kind of mask and source, both renderings under norm_pix_loss, passes, animations, and mistakes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { uniformNoise } from '../engine/ops/masking.ts';
import { explain } from '../mae/cli/explain.ts';
import { run } from '../mae/cli/program.ts';
import { namedImages } from '../mae/data/named-images.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { STREAM } from '../mae/data/streams.ts';
import { noiseFor } from '../mae/model/chosen-masks.ts';
import { patchesOf } from '../mae/model/config.ts';
import { initialWeights } from '../mae/model/init.ts';
import { MaskedAutoencoder } from '../mae/model/model.ts';
import { rebuild, reconstruct } from '../mae/reconstruct.ts';
import { said } from './support/said.ts';
import { saveModel } from './support/saved.ts';
import { cli } from './support/spawn-cli.ts';
import { TINY } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-reconstruct-'));
const at = (name: string): string => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

const NORM = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
test.before(async () => {
  const rng = random(seed);
  const sharp = await loadSharp();
  mkdirSync(at('photos'));
  for (let i = 0; i < 8; i++) {
    const raw = { width: 12 + i, height: 8, channels: 3 } as const;
    const data = Uint8Array.from({ length: raw.width * raw.height * 3 }, () => rng.below(256));
    await sharp(data, { raw })
      .png()
      .toFile(at(`photos/${i}.png`));
  }
  await sharp(new Uint8Array([255, 0, 0, 0, 0, 255]), { raw: { width: 3, height: 2, channels: 1 } })
    .png()
    .toFile(at('mask.png'));
  writeFileSync(at('mask.json'), '[0, 5]');
  writeFileSync(at('text.jpg'), 'not an image');
  for (const norm_pix_loss of [false, true]) {
    const config = { ...TINY, norm_pix_loss };
    const data = { name: 'noise', ...NORM, classes: null };
    const weights = initialWeights(config, seed);
    await saveModel(at(`${norm_pix_loss ? 'norm' : 'raw'}.safetensors`), { config, weights, data });
  }
});

const asked = (args: string): string[] =>
  args.split(' ').map((a) => (/^(photos|mask|text|raw|norm|out\d*)\b/.test(a) ? at(a) : a));
const sizeOf = async (path: string) => (await loadSharp())(path, { animated: true }).metadata();

test('a picture of what each flag asks for', async () => {
  const seen = new Map<string, string>();
  for (const [args, wanted] of [
    [
      'raw.safetensors photos/0.png photos/1.png --output out.png',
      /^0\.png +[\d.]+ +[\d.]+ dB +[-\d.]+\n1\.png.*\n3 of 6 patches were seen; the picture is .*out\.png/m,
    ],
    [
      'norm.safetensors photos --images 7 --output out2.png',
      /image.*PSNR \(statistics: original\).*PSNR \(neighbours\)/,
    ],
    ['norm.safetensors photos/0.png --passes 3 --output out3.png', /3 of 6 patches were seen in each of 3 passes/],
    ['raw.safetensors photos/0.png --mask mask.png --output out4.png', /4 of 6 patches were seen/],
    ['raw.safetensors photos/0.png --mask mask.json --output out5.png', /4 of 6 patches were seen/],
    ['raw.safetensors photos/0.png --rect 0,0,1x1 --rect 8,4,1x1 --output out6.png', /4 of 6 patches were seen/],
    ['raw.safetensors photos/0.png --mask grid --mask_ratio 0.7 --output out7.png', /1 of 6 patches were seen/],
    ['raw.safetensors photos/0.png photos/3.png --animation out.webp', /5 down to 1 of 6 patches.*the animation is/],
  ] as const) {
    const out = await said(() => run(['reconstruct', ...asked(args)]));
    assert.match(out, wanted, args);
    seen.set(args, out);
  }
  // The mask file, the list and the rectangles remove the same patches: the upper left and the lower right one.
  const figures = [...seen].filter(([args]) => /--mask mask|--rect/.test(args)).map(([, out]) => out.split('\n')[1]);
  assert.is(new Set(figures).size, 1, figures.join('\n'));
  const [raw, norm] = [await sizeOf(at('out.png')), await sizeOf(at('out2.png'))];
  assert.ok(raw.width > 4 * 12 && norm.width > raw.width / 2);
  const { pages, delay } = await sizeOf(at('out.webp'));
  assert.ok(pages === 5 && delay && delay[4] > delay[0]);
});

test('mistakes end in one line, with exit code 2 where it is in what was asked', async () => {
  for (const [args, code, said] of [
    ['raw.safetensors text.jpg', 1, /text\.jpg cannot be read/],
    ['raw.safetensors nothing', 2, /nothing is no file, no folder and no set that has a name/],
    ['raw.safetensors photos/none.jpg', 2, /photos\/none\.jpg is no file, no folder and no set that has a name/],
    ['raw.safetensors photos/0.png --mask text.jpg', 1, /text\.jpg cannot be read/],
    [
      'raw.safetensors photos/0.png --mask photos/1.png',
      2,
      /1\.png is 13 x 8 pixels, the model has 3 x 2 patches: make it so large/,
    ],
    ['raw.safetensors photos/0.png --mask blok', 2, /did you mean block\?/],
    ['raw.safetensors photos/0.png --mask_ratio 1', 2, /above 0 and below 1, got 1/],
    ['raw.safetensors photos/0.png --mask_ratio 0.9', 2, /keeps none of 6 patches/],
    ['raw.safetensors photos/0.png --passes 2 --mask_ratio 0.2', 2, /leave 2 never removed: give 3 or more/],
    ['raw.safetensors photos/0.png --rect 1,2', 2, /LEFT,TOP,WIDTHxHEIGHT/],
    ['raw.safetensors photos/0.png --rect 0,0,12x8', 2, /removes all 6 patches/],
    ['raw.safetensors photos/0.png --rect 0,0,1x1 --passes 2', 2, /leave --passes out/],
    ['raw.safetensors photos/0.png --ids_keep 0-2 --mask block', 2, /--mask and --ids_keep are two masks/],
    [
      'raw.safetensors photos/0.png --ids_keep 0-2 --mask_ratio 0.5',
      2,
      /--ids_keep says exactly.*leave --mask_ratio out/,
    ],
    ['raw.safetensors photos/0.png --animation out.png', 2, /must end in \.webp or \.gif/],
    [
      'raw.safetensors photos/0.png --output text.jpg/x.png',
      2,
      /--output .*x\.png: its folder cannot be made: [A-Z][a-z ]+: /,
    ],
  ] as const) {
    const told = await run(['reconstruct', ...asked(args)]).then(
      () => ({ line: 'no error', code: 0 }),
      (error: unknown) => explain(error),
    );
    assert.is(told.code, code, `${args}: ${told.line}`);
    assert.match(told.line, said);
    assert.match(told.line, /^tesserae: [^\n]+$/);
  }
});

test('images in a folder that cannot be read are left out, and told of', async () => {
  mkdirSync(at('mixed'));
  const sharp = await loadSharp();
  for (const name of ['a', 'b']) await sharp(at('photos/2.png')).toFile(at(`mixed/${name}.png`));
  writeFileSync(at('mixed/c.png'), 'not an image');
  const { code, out, err } = await cli([
    'reconstruct',
    at('raw.safetensors'),
    at('mixed'),
    '--output',
    at('mixed.png'),
  ]);
  assert.is(code, 0, err);
  assert.match(err, /1 of 3 images are damaged and left out: .*c\.png/);
  assert.equal(out.match(/^[abc]\.png/gm), ['a.png', 'b.png']);
});

test("one pass has the mask that held-out images have on the device, and the model's own loss; rebuild gives every pass", async () => {
  using device = await openDawn({ profile: 'simt', raiseLimits: false });
  using engine = new Engine(device);
  const config = { ...TINY, norm_pix_loss: false };
  const model = new MaskedAutoencoder(engine, config, seed);
  const images = await namedImages([at('photos')], { channels: 3, ...NORM, most: 3, progress: () => {} });
  assert.is(images.title?.(0), '0.png');
  const both = await namedImages([at('photos'), at('photos/1.png')], {
    channels: 3,
    ...NORM,
    most: 1,
    progress: () => {},
  });
  assert.equal([both.files, both.title?.(0), both.title?.(1)], [[at('photos/1.png')], '1.png', at('photos/0.png')]);
  const made = await reconstruct(engine, model, images, { maskRatio: 0.5, seed: 9 });
  assert.equal(
    made.map(({ id }) => id),
    [0, 1, 2],
  );
  const program = engine.compile({ ids: 'u32', clock: 'u32' }, ({ ids, clock }) => ({
    noise: uniformNoise(ids, clock, patchesOf(config), 9, STREAM.heldout),
  }));
  const { noise } = await (
    await program.run({
      ids: { data: Uint32Array.of(0, 1, 2), shape: [3] },
      clock: { data: new Uint32Array(2), shape: [2] },
    })
  ).read();
  for (const { id, mask, img, pred, loss } of made) {
    const own = [...noise.subarray(6 * id, 6 * id + 6)];
    const third = [...own].sort((a, b) => a - b)[2];
    assert.equal(
      Array.from(mask),
      own.map((u) => Number(u > third)),
    );
    // The loss is the mean squared error over the pixels of removed patches.
    let [sum, count] = [0, 0];
    for (let l = 0; l < 6; l++) {
      for (let e = 0; e < 48 && mask[l]; e++, count++) {
        const [c, x, y] = [e % 3, Math.floor(e / 3) % 4, Math.floor(e / 12)];
        const where = (c * 8 + 4 * Math.floor(l / 3) + y) * 12 + 4 * (l % 3) + x;
        sum += (pred[48 * l + e] - img[where]) ** 2;
      }
    }
    assert.ok(Math.abs(loss - sum / count) < 1e-4 * loss);
  }
  const two = (id: number) => [2, 4].map((keep) => ({ noise: noiseFor('random', config, keep, 9, id), keep }));
  for await (const { passes } of rebuild(engine, model, images, two, [1]))
    assert.equal(
      passes.map(({ mask }) => Array.from(mask).reduce((a, b) => a + b)),
      [4, 2],
    );
});

test.run();
