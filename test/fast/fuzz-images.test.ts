// Mutants of JPEG, PNG and WebP files: decoded, or refused by name; never a crash, nor more memory or time than the file's kind allows. FUZZ says
// how many of each.
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { DamagedImage } from '../../mae/data/damage.ts';
import { decodeImage } from '../../mae/data/image.ts';
import { mutants } from '../support/mutate.ts';

const count = Number(process.env.FUZZ ?? 40);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);

const rng = random(seed);
const [height, width] = [40 + rng.below(40), 40 + rng.below(40)];
const pixels = Uint8Array.from({ length: height * width * 4 }, (_, i) => ((i >> 4) * 7 + rng.below(32)) & 255);
const picture = () => sharp(pixels, { raw: { height, width, channels: 4 } });
const KINDS: Record<string, () => Promise<Buffer>> = {
  'jpeg of a turned photograph': () => picture().removeAlpha().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
  'progressive jpeg': () => picture().removeAlpha().jpeg({ progressive: true }).toBuffer(),
  'cmyk jpeg': () => picture().removeAlpha().toColourspace('cmyk').jpeg().toBuffer(),
  png: () => picture().png().toBuffer(),
  'interlaced palette png': () => picture().png({ palette: true, progressive: true }).toBuffer(),
  'lossy webp': () => picture().webp().toBuffer(),
  'lossless webp': () => picture().webp({ lossless: true }).toBuffer(),
};

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind}: ${count} mutants are read or refused (SEED=${seed})`, async () => {
    const whole = await make();
    const before = Object.getOwnPropertyNames(Object.prototype).sort();
    let [read, refused] = [0, 0];
    for (const { name, bytes } of mutants(whole, count, seed)) {
      const began = performance.now();
      try {
        const sample = await decodeImage(bytes, 'mutant', 3);
        assert.is(sample.data.length, sample.height * sample.width * 3, name);
        assert.is(sample.label, 3);
        read++;
      } catch (error) {
        if (!(error instanceof DamagedImage)) throw error;
        assert.match(
          error.message,
          /^image mutant cannot be read \(.+\): replace it or take it out of the folder$/,
          name,
        );
        refused++;
      }
      const ms = performance.now() - began;
      // Sizes that lie may ask for 2^28 pixels, which take some seconds; no more.
      assert.ok(ms < 20_000, `${name} took ${ms} ms`);
    }
    assert.is(read + refused, count);
    if (count >= 20) assert.ok(refused > 0, 'some damage must be noticed');
    assert.equal(Object.getOwnPropertyNames(Object.prototype).sort(), before);
    assert.ok(process.memoryUsage().rss < 2 ** 31, `${process.memoryUsage().rss} bytes`);
  });
}

test('undamaged, all of them are read', async () => {
  for (const make of Object.values(KINDS)) {
    const { data } = await decodeImage(await make(), 'whole', 0);
    assert.is(data.length, height * width * 3);
  }
});
test.run();
