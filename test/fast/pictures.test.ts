// Pictures: panels show the right pixels in the right places, curves are drawn from a run's own metrics.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { configure, patchesOf, type MaeConfig } from '../../mae/model/config.ts';
import { drawText, TEXT_HEIGHT, textWidth } from '../../mae/pictures/font.ts';
import { lossCurve, parseMetrics, thin } from '../../mae/pictures/loss-curve.ts';
import { panel, tiles } from '../../mae/pictures/panel.ts';
import type { Picture } from '../../mae/render/picture.ts';
import { encodePng } from '../../mae/pictures/png.ts';
import { blank } from '../../mae/render/picture.ts';
import type { Rebuilt } from '../../mae/render/rebuilt.ts';
import { loadSharp } from '../../mae/data/sharp.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const MEAN = [0.4, 0.5, 0.6];
const STD = [0.2, 0.25, 0.3];
const sizes = { img_size: [8, 12] as [number, number] };

/** Random bytes as an image, its true patches as a prediction, a random mask. */
function perfect(config: MaeConfig): Rebuilt & { bytes: Uint8Array } {
  const [height, width] = config.img_size;
  const { patch_size: p, in_chans: chans } = config;
  const bytes = Uint8Array.from({ length: chans * height * width }, () => rng.below(256));
  const img = Float32Array.from(
    bytes,
    (v, i) => (v / 255 - MEAN[Math.floor(i / height / width)]) / STD[Math.floor(i / height / width)],
  );
  const pred: number[] = [];
  for (let top = 0; top < height; top += p) {
    for (let left = 0; left < width; left += p) {
      const patch: number[] = [];
      for (let i = 0; i < p; i++)
        for (let j = 0; j < p; j++)
          for (let c = 0; c < chans; c++) patch.push(img[(c * height + top + i) * width + left + j]);
      const mean = patch.reduce((a, b) => a + b) / patch.length;
      const variance = patch.reduce((a, b) => a + (b - mean) ** 2, 0) / (patch.length - 1);
      pred.push(...(config.norm_pix_loss ? patch.map((v) => (v - mean) / Math.sqrt(variance + 1e-6)) : patch));
    }
  }
  return {
    img,
    bytes,
    pred: Float32Array.from(pred),
    mask: Float32Array.from({ length: patchesOf(config) }, () => rng.below(2)),
  };
}

const at = ({ width, data }: Picture, x: number, y: number): number[] => [
  ...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3),
];

for (const norm_pix_loss of [false, true]) {
  test(`a perfect prediction gives the original back (norm_pix_loss ${norm_pix_loss}, SEED=${seed})`, () => {
    const config = configure('mae_vit_nano_patch4_32', { ...sizes, norm_pix_loss });
    const made = perfect(config);
    const [original, masked, rebuilt, pasted] = tiles(made, { config, mean: MEAN, std: STD });
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 12; x++) {
        const pixel = [0, 1, 2].map((c) => made.bytes[(c * 8 + y) * 12 + x]);
        const removed = made.mask[Math.floor(y / 4) * 3 + Math.floor(x / 4)] === 1;
        assert.equal(at(original, x, y), pixel);
        assert.equal(at(rebuilt, x, y), pixel);
        assert.equal(at(masked, x, y), removed ? [128, 128, 128] : pixel);
        assert.equal(at(pasted, x, y), pixel);
      }
    }
  });
}

test('pasted takes removed patches from the prediction and kept ones from the image; values are clipped', () => {
  const config = configure('mae_vit_nano_patch4_32', sizes);
  const made = perfect(config);
  const white = { ...made, pred: made.pred.map(() => 100) };
  const [, , rebuilt, pasted] = tiles(white, { config, mean: MEAN, std: STD });
  assert.ok(rebuilt.data.every((v) => v === 255));
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 12; x++) {
      const removed = made.mask[Math.floor(y / 4) * 3 + Math.floor(x / 4)] === 1;
      assert.equal(
        at(pasted, x, y),
        removed ? [255, 255, 255] : [0, 1, 2].map((c) => made.bytes[(c * 8 + y) * 12 + x]),
      );
    }
  }
});

test('one channel is grey; small images are enlarged by a whole factor; a panel survives PNG', async () => {
  const config = configure('mae_vit_nano_patch4_32', { ...sizes, in_chans: 1 });
  const made = perfect(config);
  const options = { config, mean: MEAN, std: STD };
  const [original] = tiles(made, options);
  const [red, green, blue] = at(original, 5, 3);
  assert.equal([green, blue], [red, red]);
  const one = panel([made], options);
  const two = panel([made, { ...made, caption: 'second' }], options);
  assert.ok(one.width >= 4 * 12 * 16 && two.width === one.width && two.height > one.height + 8 * 16);
  const sharp = await loadSharp();
  const { data, info } = await sharp(await encodePng(two))
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.equal([info.width, info.height, info.channels], [two.width, two.height, 3]);
  assert.ok(Buffer.from(two.data).equals(data));
  // Every pixel of the original is there as a 16 x 16 block.
  const rows = Array.from({ length: two.height }, (_, y) =>
    Buffer.from(two.data.subarray(3 * y * two.width, 3 * (y + 1) * two.width)),
  );
  const block = Buffer.concat(
    Array.from({ length: 12 }, (_, x) =>
      Buffer.concat(Array.from({ length: 16 }, () => Buffer.from(at(original, x, 0)))),
    ),
  );
  assert.is(rows.filter((row) => row.includes(block)).length, 32, 'the first line of both rows, 16 times each');
});

function drawn(text: string): string {
  const dark: string[] = [];
  drawText(text, (x, y) => {
    assert.ok(x >= 0 && x < textWidth(text) && y >= 0 && y < TEXT_HEIGHT);
    dark.push(`${x},${y}`);
  });
  return dark.join(' ');
}

test('every letter of the labels has a glyph, and texts stay in their box', () => {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const text = `${letters}${letters.toUpperCase()}0123456789.,%-_'()/:+=`;
  const shapes = new Set<string>();
  for (const glyph of text) {
    shapes.add(drawn(glyph));
    assert.not.ok(['', drawn('\u6f22')].includes(drawn(glyph)), `there is no ${glyph}`);
  }
  assert.is(shapes.size, text.length, 'no two look alike');
  assert.is(drawn('\u00c9t\u00e9.jpg'), drawn('Ete.jpg'));
  assert.is(textWidth('\u00c9t\u00e9.jpg'), textWidth('Ete.jpg'));
  assert.not.equal(drawn('\u6f22'), '', 'a name in other letters can be seen to be there');
});

test('curves: metrics are read, thinned by means, and drawn', async () => {
  const lines = Array.from({ length: 4000 }, (_, i) =>
    JSON.stringify({ step: i + 1, epoch: 0, loss: 1 - i / 8000, lr: 1 }),
  );
  const { train, heldout } = parseMetrics(
    `${[...lines, JSON.stringify({ step: 4000, heldout_loss: 0.51 })].join('\n')}\n`,
  );
  assert.equal([train.length, heldout], [4000, [{ step: 4000, loss: 0.51 }]]);
  const thinned = thin(train, 1000);
  assert.ok(thinned.length <= 1000);
  // Means of a straight line lie on it.
  for (const { step, loss } of thinned) assert.ok(Math.abs(loss - (1 - (step - 1) / 8000)) < 1e-9);
  const svg = await lossCurve({ train, heldout, title: 'a run' });
  for (const text of ['a run', 'optimizer step', 'held-out images', 'moving average']) assert.match(svg, text);
  assert.match(await lossCurve({ train: train.slice(0, 1), heldout: [], title: 'short' }), '</svg>');
});

test('rows that are no picture are clear in the file, the others as they were', async () => {
  const sharp = await loadSharp();
  const picture = blank(3, 5, [10, 20, 30]);
  const { data, info } = await sharp(await encodePng(picture, (row) => row % 3 === 2))
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.equal([info.width, info.height, info.channels], [3, 5, 4]);
  const alphas = Array.from({ length: 5 }, (_, row) => data[4 * 3 * row + 3]);
  assert.equal(alphas, [255, 255, 0, 255, 255]);
  assert.equal([...data.subarray(0, 3)], [10, 20, 30]);
});

test.run();
