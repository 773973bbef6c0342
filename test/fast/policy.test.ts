// What mae/data/README.md says of every kind of image, on files made here.
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { withChannels } from '../../mae/data/channels.ts';
import { DamagedImage } from '../../mae/data/damage.ts';
import { type Dataset, IMAGENET_MEAN, IMAGENET_STD, type Sample } from '../../mae/data/dataset.ts';
import { decodeImage, readImage } from '../../mae/data/image.ts';
import { imageFiles } from '../../mae/data/imagefolder.ts';
import { loadBatches } from '../../mae/data/loader.ts';
import { centrePlaces, evalPlaces, randomPlaces, weakPlaces } from '../../mae/data/sampler.ts';

const rng = random(Date.now() % 2 ** 31);
let root = '';
test.before(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-policy-'));
});
test.after(() => rmSync(root, { recursive: true, force: true }));

type Channels = 1 | 2 | 3 | 4;
const noise = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => rng.below(256));
const of = (pixels: Uint8Array | Uint16Array, height: number, width: number, channels: Channels = 3) =>
  sharp(pixels, { raw: { height, width, channels } });
const SAMPLE = fileURLToPath(new URL('../../mae/web/samples/bird.png', import.meta.url));
const decode = (bytes: Uint8Array): Promise<Sample> => decodeImage(bytes, 'made.png', 4);
const repeated = (grey: Uint8Array): number[] => [...grey].flatMap((x) => [x, x, x]);

async function damaged(work: () => Promise<unknown>): Promise<DamagedImage> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, DamagedImage);
    return error as DamagedImage;
  }
  return assert.unreachable('it was read') as never;
}

/** Pixel (y, x) of the upright image, of a stored one (height, width) with this EXIF orientation. */
const UPRIGHT: Record<number, (y: number, x: number, height: number, width: number) => [number, number]> = {
  1: (y, x) => [y, x],
  2: (y, x, _, w) => [y, w - 1 - x],
  3: (y, x, h, w) => [h - 1 - y, w - 1 - x],
  4: (y, x, h) => [h - 1 - y, x],
  5: (y, x) => [x, y],
  6: (y, x, h) => [h - 1 - x, y],
  7: (y, x, h, w) => [h - 1 - x, w - 1 - y],
  8: (y, x, _, w) => [x, w - 1 - y],
};

test('the EXIF orientation is applied: all eight', async () => {
  const [height, width] = [3 + rng.below(5), 9 + rng.below(5)];
  const stored = noise(height * width * 3);
  for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const bytes = await of(stored, height, width).withMetadata({ orientation }).png().toBuffer();
    const got = await decode(bytes);
    const [h, w] = orientation < 5 ? [height, width] : [width, height];
    assert.equal([got.height, got.width, got.channels, got.label], [h, w, 3, 4], `orientation ${orientation}`);
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const [row, column] = UPRIGHT[orientation](y, x, height, width);
        const from = (row * width + column) * 3;
        const to = (y * w + x) * 3;
        assert.equal([...got.data.slice(to, to + 3)], [...stored.slice(from, from + 3)], `${orientation}: ${y} ${x}`);
      }
    }
  }
  const jpeg = await of(stored, height, width).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  const turned = await decode(jpeg);
  assert.equal([turned.height, turned.width], [width, height], 'of a JPEG, too');
});

test("CMYK goes by PIL's formula, upright as well", async () => {
  const photo = of(noise(16 * 8 * 3), 16, 8).toColourspace('cmyk');
  const plain = await photo.clone().jpeg().toBuffer();
  const raw = await sharp(plain).pipelineColourspace('cmyk').toColourspace('cmyk').raw().toBuffer();
  const { data, channels } = await decode(plain);
  assert.is(channels, 3);
  for (let i = 0; i < data.length; i++) {
    const p = 4 * Math.floor(i / 3);
    assert.ok(Math.abs(data[i] - (255 - raw[p + 3]) * (1 - raw[p + (i % 3)] / 255)) <= 0.5001);
  }
  const turned = await decode(await photo.clone().withMetadata({ orientation: 8 }).jpeg().toBuffer());
  assert.equal([turned.height, turned.width], [8, 16]);
});

test('what is transparent lies on white, in colour and in grey', async () => {
  for (const channels of [4, 2] as const) {
    const pixels = noise(5 * 7 * channels);
    for (const [i, a] of [0, 255, 128].entries()) pixels[channels * (i + 1) - 1] = a;
    const { data } = await decode(await of(pixels, 5, 7, channels).png().toBuffer());
    for (let i = 0; i < data.length; i++) {
      const from = channels * Math.floor(i / 3);
      const alpha = pixels[from + channels - 1] / 255;
      const colour = pixels[from + (channels === 4 ? i % 3 : 0)];
      assert.ok(Math.abs(data[i] - (alpha * colour + (1 - alpha) * 255)) <= 0.5001, `${channels} channels, byte ${i}`);
    }
    assert.equal([...data.slice(0, 3)], [255, 255, 255]);
  }
});

test('of 16 bits the high byte is kept', async () => {
  const wide = (n: number): Uint16Array => Uint16Array.from({ length: n }, () => rng.below(65536));
  const high = (values: Uint16Array): Uint8Array => Uint8Array.from(values, (x) => x >> 8);
  const [grey, rgb] = [wide(20), wide(60)];
  const rgb16 = await of(rgb, 4, 5).toColourspace('rgb16').png().toBuffer();
  assert.is((await sharp(rgb16).metadata()).depth, 'ushort');
  assert.equal([...(await decode(rgb16)).data], [...high(rgb)]);
  const grey16 = await of(grey, 4, 5, 1).toColourspace('grey16').png().toBuffer();
  assert.equal([...(await decode(grey16)).data], repeated(high(grey)));
});

test('grey becomes three equal channels, a palette its colours', async () => {
  const grey = noise(20);
  assert.equal([...(await decode(await of(grey, 4, 5, 1).png().toBuffer())).data], repeated(grey));
  const jpeg = await of(grey, 4, 5, 1).toColourspace('b-w').jpeg().toBuffer();
  const { data, channels } = await decode(jpeg);
  assert.is(channels, 3);
  for (let i = 0; i < 60; i += 3) assert.ok(data[i] === data[i + 1] && data[i] === data[i + 2]);
  const few = Uint8Array.from({ length: 60 }, (_, i) => [255, 0, 0, 0, 255, 0][(3 * ((i / 9) & 1) + (i % 3)) % 6]);
  const palette = await of(few, 4, 5).png({ palette: true }).toBuffer();
  assert.is((await sharp(palette).metadata()).isPalette, true);
  assert.equal([...(await decode(palette)).data], [...few]);
});

test('of an animation the first frame is taken', async () => {
  const frames = noise(2 * 6 * 5 * 3);
  const strip = sharp(frames, { raw: { height: 12, width: 5, channels: 3, pageHeight: 6 } });
  const webp = await strip
    .clone()
    .webp({ lossless: true, loop: 0, delay: [50, 50] })
    .toBuffer();
  assert.is((await sharp(webp).metadata()).pages, 2);
  const first = await decode(webp);
  assert.equal([first.height, first.width], [6, 5]);
  assert.equal([...first.data], [...frames.slice(0, 90)]);
  const gif = await decode(
    await strip
      .clone()
      .gif({ loop: 0, delay: [50, 50] })
      .toBuffer(),
  );
  assert.equal([gif.height, gif.width, gif.channels], [6, 5, 3], 'a GIF that is called otherwise');
});

test('colour profiles are ignored: the numbers are those of the file', async () => {
  const pixels = noise(5 * 5 * 3);
  const plain = await of(pixels, 5, 5).png().toBuffer();
  const tagged = await of(pixels, 5, 5).withIccProfile('p3', { attach: true }).png().toBuffer();
  const stored = await sharp(tagged, { ignoreIcc: true }).raw().toBuffer();
  assert.ok((await sharp(tagged).metadata()).icc, 'it has a profile');
  assert.equal([...(await decode(tagged)).data], [...stored]);
  assert.equal([...(await decode(plain)).data], [...pixels]);
});

test('content decides, not the name; drawings and what is no image are refused', async () => {
  const pixels = noise(48);
  writeFileSync(join(root, 'really-png.jpg'), await of(pixels, 4, 4).png().toBuffer());
  assert.equal([...(await readImage(join(root, 'really-png.jpg'))).data], [...pixels]);
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>';
  const refused: [string, Uint8Array, RegExp][] = [
    ['drawing.png', Buffer.from(svg), /svg files are not read/],
    ['empty.jpg', new Uint8Array(0), /it is empty/],
    ['text.png', Buffer.from('no image at all'), /unsupported image format/],
    ['noise.webp', noise(500), /./],
  ];
  const whole = await of(noise(64 * 64 * 3), 64, 64)
    .jpeg()
    .toBuffer();
  refused.push(['half.jpg', whole.subarray(0, whole.length >> 1), /premature end/]);
  const png = await of(noise(64 * 64 * 3), 64, 64)
    .png()
    .toBuffer();
  refused.push(['half.png', png.subarray(0, png.length >> 1), /./]);
  for (const [name, bytes, why] of refused) {
    const path = join(root, name);
    writeFileSync(path, bytes);
    const error = await damaged(() => readImage(path));
    assert.is(error.path, path);
    assert.match(error.why, why);
    assert.match(error.message, /cannot be read \(.+\): replace it or take it out of the folder$/);
    assert.not.match(error.message, /\n/);
  }
  symlinkSync(join(root, 'nowhere.jpg'), join(root, 'dangling.jpg'));
  assert.is((await damaged(() => readImage(join(root, 'dangling.jpg')))).path, join(root, 'dangling.jpg'));
});

test('the reason is that of the image itself, however many others fail beside it', async () => {
  const whole = await of(noise(64 * 64 * 3), 64, 64)
    .jpeg()
    .toBuffer();
  const sources: [Uint8Array, RegExp][] = Array.from({ length: 60 }, (_, i) =>
    i % 3 === 0
      ? [whole.subarray(0, whole.length >> 1), /^VipsJpeg: premature end/]
      : i % 3 === 1
        ? [Buffer.from('no image at all'), /unsupported image format/]
        : [whole, /never/],
  );
  await Promise.all(
    sources.map(async ([bytes, why], i) => {
      if (i % 3 === 2) assert.is((await decode(bytes)).width, 64);
      else assert.match((await damaged(() => decode(bytes))).why, why);
    }),
  );
});

test('more than 2^28 pixels are refused before anything is decoded', async () => {
  const bytes = await sharp({
    create: { width: 16400, height: 16400, channels: 3, background: '#123' },
    limitInputPixels: false,
  })
    .png()
    .toBuffer();
  const before = process.memoryUsage().rss;
  const error = await damaged(() => decodeImage(bytes, 'bomb.png', 0));
  assert.match(error.why, /exceeds pixel limit/);
  assert.ok(process.memoryUsage().rss - before < 64 * 2 ** 20);
});

const set = (samples: readonly Sample[], channels = 3): Dataset => ({
  name: 'made',
  length: samples.length,
  classes: null,
  channels,
  mean: channels === 3 ? [0.5, 0.4, 0.3] : [0.5],
  std: channels === 3 ? [0.2, 0.3, 0.1] : [0.25],
  read: async (index) => samples[index],
});

test('images by their paths and by their bytes are the same set, for models of three channels and of one', async () => {
  const bytes = readFileSync(SAMPLE);
  const set = await imageFiles([SAMPLE, bytes]);
  assert.equal([set.length, set.channels, set.mean, set.std], [2, 3, IMAGENET_MEAN, IMAGENET_STD]);
  assert.equal([set.title?.(0), set.title?.(1)], ['bird.png', 'number 1']);
  assert.equal(await set.read(1), await set.read(0));
  const grey = await imageFiles([bytes], { channels: 1 });
  assert.is(grey.mean.length, 1);
  assert.is((await grey.read(0)).channels, 1);
  assert.equal((await imageFiles([bytes], { mean: [1, 2, 3] })).mean, [1, 2, 3]);
  const error = await damaged(() => imageFiles([bytes, bytes.subarray(0, 40)]));
  assert.match(error.message, /^image number 1 cannot be read .*: name another, or leave it out$/);
});

test('images of a single pixel, and of 2 x 1000, go through every kind of crop', async () => {
  const sizes = [
    [1, 1],
    [2, 1000],
    [1000, 2],
    [1, 3],
  ];
  const samples = await Promise.all(
    sizes.map(async ([h, w]) =>
      decode(
        await of(noise(h * w * 3), h, w)
          .png()
          .toBuffer(),
      ),
    ),
  );
  const output = { chans: 3, height: 32, width: 32 };
  const order = Uint32Array.of(0, 1, 2, 3);
  const places = [randomPlaces(rng.below(1000), 1), weakPlaces(1, 2), centrePlaces(output), evalPlaces(output, 0.875)];
  for (const place of places) {
    for await (const batch of loadBatches(set(samples), { order, batchSize: 4, place, output })) {
      assert.is(batch.ids.length, 4);
      for (const [k, id] of batch.ids.entries()) {
        const { box } = place(id, samples[k]);
        assert.ok(box.height >= 1 && box.width >= 1, `${sizes[k]}: ${JSON.stringify(box)}`);
        assert.ok(box.top + box.height <= sizes[k][0] && box.left + box.width <= sizes[k][1]);
      }
    }
  }
});

test("colour becomes luma for one channel, as PIL's; grey becomes three; other numbers of channels are refused", async () => {
  const data = noise(300);
  const colour = set([{ data, height: 10, width: 10, channels: 3, label: 7 }]);
  const grey = withChannels(colour, 1);
  const sample = await grey.read(0);
  assert.equal([sample.channels, sample.label, sample.data.length], [1, 7, 100]);
  for (let i = 0; i < 100; i++) {
    const want = 0.299 * data[3 * i] + 0.587 * data[3 * i + 1] + 0.114 * data[3 * i + 2];
    assert.ok(Math.abs(sample.data[i] - want) <= 0.51, `${sample.data[i]} for ${want}`);
  }
  assert.ok(Math.abs(grey.mean[0] - (0.299 * 0.5 + 0.587 * 0.4 + 0.114 * 0.3)) < 1e-4);
  const again = withChannels(grey, 3);
  assert.equal([...(await again.read(0)).data], repeated(sample.data));
  assert.equal([again.mean.length, again.std.length], [3, 3]);
  assert.is(withChannels(colour, 3), colour);
  assert.throws(() => withChannels(colour, 4), /has 3 channels, the model takes 4: give --in_chans 3/);
});
test.run();
