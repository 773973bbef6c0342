// JPEG files as reading threads decode them: the image library's bits for what is usual, and nothing at all for what is not, or is damaged.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { decodeImage } from '../../mae/data/image.ts';
import { decodeJpeg, isUsual, MOST_FILE_BYTES } from '../../mae/data/jpeg.ts';
import { loadSharp } from '../../mae/data/sharp.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);

/** Small bright noise made larger: smooth enough for chroma to matter, and different every time. */
async function made(width: number, height: number, channels: 1 | 3 = 3) {
  const sharp = await loadSharp();
  const [w, h] = [Math.max(1, width >> 2), Math.max(1, height >> 2)];
  const noise = Buffer.from(Uint8Array.from({ length: w * h * channels }, () => rng.below(256)));
  const image = sharp(noise, { raw: { width: w, height: h, channels } }).resize(width, height, { fit: 'fill' });
  return channels === 1 ? image.toColourspace('b-w') : image;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

test('every usual kind comes to the bits of the image library', async () => {
  for (const [width, height] of [
    [1, 1],
    [3, 70],
    [17, 17],
    [8 + rng.below(300), 8 + rng.below(300)],
  ]) {
    for (const progressive of [false, true]) {
      for (const chromaSubsampling of ['4:4:4', '4:2:0']) {
        for (const channels of [3, 1] as const) {
          const image = await made(width, height, channels);
          const bytes = await image.jpeg({ progressive, chromaSubsampling, quality: 5 + rng.below(95) }).toBuffer();
          const told = `${width} x ${height} x ${channels}, ${chromaSubsampling}, progressive ${progressive}, SEED=${seed}`;
          const picture = await decodeJpeg(bytes);
          assert.ok(picture, told);
          const { data } = await decodeImage(bytes, 'made.jpg', -1);
          assert.equal([picture.width, picture.height, picture.channels], [width, height, channels], told);
          const repeats = 3 / channels;
          assert.ok(
            data.every((value, i) => value === picture.data[Math.floor(i / repeats)]),
            told,
          );
        }
      }
    }
  }
});

/** The file with another size in its frame. */
function framed(file: Buffer, mark: number, width: number, height: number): Buffer {
  const changed = Buffer.from(file);
  const at = changed.indexOf(Buffer.of(0xff, mark));
  changed.writeUInt16BE(height, at + 5);
  changed.writeUInt16BE(width, at + 7);
  return changed;
}

test('what is unusual or damaged is left to the image library, and the next picture is none the worse', async () => {
  const plain = await made(120, 90);
  const whole = await plain.clone().jpeg().toBuffer();
  const progressive = await plain.clone().jpeg({ progressive: true }).toBuffer();
  const before = await decodeJpeg(whole);
  const kept = before?.data.slice();
  const broken = Buffer.from(whole);
  for (let i = 0; i < 40; i++) broken[(whole.length >> 1) + i] ^= 1 + rng.below(255);
  const left: Record<string, Uint8Array> = {
    png: await plain.clone().png().toBuffer(),
    'four channels': await plain.clone().toColourspace('cmyk').jpeg().toBuffer(),
    'to be turned': await plain.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    'cut off': whole.subarray(0, Math.floor(whole.length * 0.7)),
    'without its end': whole.subarray(0, -2),
    'a header alone': whole.subarray(0, 200),
    nothing: new Uint8Array(),
    'a large file': Buffer.concat([whole, Buffer.alloc(MOST_FILE_BYTES)]),
    'many pixels': framed(whole, 0xc0, 4097, 4096),
    'many pixels, progressive': framed(progressive, 0xc2, 2400, 2400),
  };
  for (const [name, bytes] of Object.entries(left)) assert.is(await decodeJpeg(bytes), null, name);
  const mended = await decodeJpeg(broken);
  if (mended) {
    // Bits that still are a picture: where their numbers overflow, one decoder wraps round and the other ends at black or white.
    const { data } = await decodeImage(broken, 'broken.jpg', -1);
    assert.is(mended.data.length, data.length);
    const apart = data.reduce((n, value, i) => n + Number(value !== mended.data[i]), 0);
    assert.ok(apart <= 0.02 * data.length, `${apart} of ${data.length} values differ (SEED=${seed})`);
  }
  assert.not(isUsual(left['many pixels']) || isUsual(left['many pixels, progressive']));
  assert.ok(isUsual(await plain.clone().withMetadata({ orientation: 1 }).jpeg().toBuffer()), 'it stands upright');
  // More complaints than the codec's stack stands (some 4,000).
  for (let i = 0; i < 6000; i++) await decodeJpeg(left['a header alone']);
  // And a picture after which the codec has more memory than it keeps.
  const grey = { r: 90, g: 90, b: 90 };
  const large = (await loadSharp())({ create: { width: 4096, height: 4096, channels: 3, background: grey } });
  assert.is((await decodeJpeg(Buffer.concat([await large.jpeg().toBuffer(), Buffer.alloc(2 ** 23)])))?.width, 4096);
  const after = await decodeJpeg(whole);
  assert.ok(before && kept && after && same(after.data, kept) && same(before.data, kept));
});

test.run();
