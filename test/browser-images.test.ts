// Images that a page decodes are those that Node decodes: pixel for pixel, upright, and damaged where they are damaged.
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { decodeImage } from '../mae/data/image.ts';
import type * as Images from './browser/images.ts';
import { chromium, openPage } from './support/chromium.ts';

const inBrowser = chromium ? test : test.skip;
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

/** Smooth colours with noise on them, so that JPEG has something to do. */
function picture(width: number, height: number, channels: 1 | 2 | 3 | 4, salt: number) {
  const rng = random(seed, salt);
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const [c, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / channels / width)];
    const value = 128 + 90 * Math.sin((x * (c + 1)) / 9 + salt) * Math.cos(y / 7 + c);
    return Math.max(0, Math.min(255, Math.round(value + 12 * rng.normal())));
  });
  return sharp(data, { raw: { width, height, channels } });
}

inBrowser(`a page decodes as Node does (SEED=${seed})`, async () => {
  const rng = random(seed);
  const words = Uint16Array.from({ length: 24 * 16 * 3 }, () => rng.below(65536));
  const deep = sharp(words, { raw: { width: 24, height: 16, channels: 3 } });
  const photo = await picture(45, 31, 3, 1).jpeg({ quality: 85 }).toBuffer();
  const exact: Record<string, Buffer> = {
    'photo.jpg': photo,
    'full.jpg': await picture(33, 50, 3, 2).jpeg({ chromaSubsampling: '4:4:4', progressive: true }).toBuffer(),
    'lying.jpg': await sharp(photo).withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    'grey.jpg': await picture(20, 20, 1, 3).toColourspace('b-w').jpeg().toBuffer(),
    'exact.png': await picture(17, 23, 3, 4).png().toBuffer(),
    'one.png': await picture(1, 1, 3, 5).png().toBuffer(),
    'deep.png': await deep.toColourspace('rgb16').png().toBuffer(),
    'palette.png': await picture(24, 16, 3, 10).png({ palette: true, colours: 16 }).toBuffer(),
    'exact.webp': await picture(19, 11, 3, 6).webp({ lossless: true }).toBuffer(),
  };
  assert.is((await sharp(exact['deep.png']).metadata()).depth, 'ushort');
  /** Rounded otherwise. */
  const near: Record<string, Buffer> = {
    'clear.png': await picture(21, 13, 4, 7).png().toBuffer(),
    'cmyk.jpg': await picture(24, 16, 3, 8).toColourspace('cmyk').jpeg().toBuffer(),
  };
  const damaged: Record<string, Buffer> = {
    'cut.png': exact['exact.png'].subarray(0, 200),
    'cut.jpg': photo.subarray(0, photo.length / 2),
    'empty.jpg': Buffer.alloc(0),
    'text.png': Buffer.from('no image'),
  };
  const files = { ...exact, ...near, ...damaged };
  const served = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`/${name}`, bytes]));
  await using page = await openPage<typeof Images>('test/browser/images.ts', { files: served });
  const found = await page.call('decode', Object.keys(served));
  for (const [i, [name, bytes]] of Object.entries(files).entries()) {
    const there = found[i];
    if (name in damaged) {
      assert.match(there as string, new RegExp(`^image /${name} cannot be read \\(.+\\): leave it out$`));
      continue;
    }
    if (typeof there === 'string') return assert.unreachable(there);
    const here = await decodeImage(bytes, name, -1);
    assert.equal([there.width, there.height], [here.width, here.height], name);
    const off = Math.max(...there.data.map((value, at) => Math.abs(value - here.data[at])));
    assert.ok(there.data.length === here.data.length && off <= (name in near ? 1 : 0), `${name} is off by ${off}`);
  }
  assert.is((found[2] as Images.Decoded).width, 31, 'upright');
});

test.run();
