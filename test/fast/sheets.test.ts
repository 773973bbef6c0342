// Sheets of any number of images, images rebuilt in passes, and animations.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { loadSharp } from '../../mae/data/sharp.ts';
import { configure } from '../../mae/model/config.ts';
import { ANIMATIONS, encodeAnimation } from '../../mae/pictures/animation.ts';
import { textWidth } from '../../mae/pictures/font.ts';
import { attentionGrid } from '../../mae/pictures/attention-grid.ts';
import { columnsOf, coveredColumnsOf, coveredStrip, panel, strip } from '../../mae/pictures/panel.ts';
import { blank, type Picture } from '../../mae/render/picture.ts';
import { readied, scaleOf, sheet, shortened } from '../../mae/pictures/sheet.ts';
import { coveredPixels, errorMap, pixelsOf } from '../../mae/render/rebuilt.ts';
import { heat } from '../../mae/render/colours.ts';
import { heatTile } from '../../mae/render/tiles.ts';
import { floats, imageOf, pixelsIn, someMask } from '../support/pictured.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const rng = random(seed);

test('sheets of any number of images hold every tile, and every text lies within', () => {
  for (const norm_pix_loss of [false, true]) {
    const config = configure('mae_vit_nano_patch4_32', { img_size: [8, 12], norm_pix_loss });
    const view = { config, mean: [0.4, 0.5, 0.6], std: [0.2, 0.2, 0.2] };
    const strips = Array.from({ length: 50 }, (_, i) =>
      strip(
        { img: imageOf(rng, config), pred: imageOf(rng, config), mask: someMask(rng, config) },
        view,
        `photograph number ${i} with a name that is long.jpg`,
      ),
    );
    for (const count of [1, 2, 6, 7, 13, 50]) {
      const picture = sheet(columnsOf(view), strips.slice(0, count));
      const times = scaleOf(12, count > 6);
      const { tiles } = strips[count - 1];
      assert.is(tiles.length, norm_pix_loss ? 6 : 4);
      // The last tile of the last image, found whole by its first row.
      const row = Buffer.from(tiles[tiles.length - 1].data.subarray(0, 36));
      const wide = Buffer.concat(
        Array.from({ length: 12 * times }, (_, x) =>
          row.subarray(3 * Math.floor(x / times), 3 * Math.floor(x / times) + 3),
        ),
      );
      assert.ok(Buffer.from(picture.data).includes(wide), `${count} images`);
      assert.ok(count < 13 || picture.width / picture.height < 4, `${picture.width} x ${picture.height} is no sheet`);
    }
  }
  assert.is(shortened('short', 100), 'short');
  for (const width of [20, 60, 100]) assert.ok(textWidth(shortened('a very long name of a file.jpeg', width)) <= width);
  assert.equal(
    [scaleOf(32, false), scaleOf(224, false), scaleOf(448, false), scaleOf(224, true), scaleOf(32, true)],
    [6, 1, 1 / 2, 1 / 2, 3],
  );
});

test('texts of a few large tiles are twice as large, of many small ones once', () => {
  const strips = Array.from({ length: 7 }, () => ({ tiles: [blank(192, 192, [9, 9, 9])], captions: ['I'] }));
  const groups = [{ columns: ['I'] }];
  /** Pixels of the texts' two colours. */
  const inked = (picture: Picture): number => {
    const { data } = picture;
    let count = 0;
    for (let i = 0; i < data.length; i += 3) count += data[i] === 60 || data[i] === 120 ? 1 : 0;
    return count;
  };
  // An I has 11 dots; above six rows of tiles there is a heading, below them a note.
  assert.is(inked(sheet(groups, strips.slice(0, 6), { notes: ['I'] })), 4 * 11 * (6 + 1 + 1));
  // Seven are shown smaller, where a heading as long as 'reconstruction' has no room twice: so many blocks have one each.
  const headings = (inked(sheet([{ columns: ['I'.repeat(14)] }], strips)) / 11 - 7) / 14;
  assert.ok(headings >= 1 && headings <= 7 && Number.isInteger(headings), `${headings}`);
  // A note that is too long for its picture twice is written once.
  const long = 'I'.repeat(30);
  assert.is(inked(sheet(groups, strips.slice(0, 1), { notes: [long] })), 4 * 11 * 2 + 11 * 30);
});

test('large tiles that are made smaller as they come give the same sheet', () => {
  const noise = () => ({
    width: 230,
    height: 120,
    data: Uint8Array.from({ length: 230 * 120 * 3 }, () => rng.below(256)),
  });
  for (const count of [1, 8]) {
    const strips = Array.from({ length: count }, () => ({ tiles: [noise()] }));
    const groups = [{ columns: ['one'] }];
    const early = sheet(
      groups,
      strips.map((strip) => readied(strip, count)),
    );
    assert.equal(early, sheet(groups, strips), `${count}`);
  }
});

test('images rebuilt in passes show their errors on one scale; a panel under norm_pix_loss says where its statistics are from', () => {
  const config = configure('mae_vit_nano_patch4_32', { img_size: [8, 12], norm_pix_loss: true });
  const view = { config, mean: [0.4, 0.5, 0.6], std: [0.2, 0.2, 0.2] };
  const img = imageOf(rng, config);
  const passes = [0, 1].map((p) => ({
    pred: imageOf(rng, config),
    mask: floats(6, () => 0).map((_, l) => Number(l % 2 === p)),
  }));
  const { tiles, quality, captions = [] } = coveredStrip(img, passes, view, 'name');
  assert.is(tiles.length, coveredColumnsOf(view).flatMap(({ columns }) => columns).length);
  assert.equal([quality.length, captions.length, captions[0]], [2, 3, 'name']);
  const { pixels } = coveredPixels(img, passes, view);
  assert.equal(tiles[3], heatTile(errorMap(pixelsOf(img, view), pixels, view), 0.3, config));
  const [, ...titled] = columnsOf(view);
  assert.equal(
    titled.map(({ title }) => title),
    ['patch statistics from the original', 'from visible neighbours'],
  );
  const raw = { ...view, config: { ...config, norm_pix_loss: false } };
  assert.ok(panel([{ img, ...passes[0] }], view).width > panel([{ img, ...passes[0] }], raw).width);
});

test('attention of any number of images and heads: every map is there, from black to its own largest patch', () => {
  const config = configure('mae_vit_nano_patch4_32', { img_size: [8, 12] });
  for (const [images, heads] of [
    [1, 1],
    [1, 16],
    [3, 14],
    [9, 6],
  ]) {
    const blocks = Array.from({ length: images }, (_, i) => ({
      title: `image ${i} of a name so long that it must be made shorter to stay within: layer 3 of 12, from cls`,
      pixels: pixelsIn(rng, config),
      patch: i % 2 ? 4 : null,
      maps: Array.from({ length: heads }, (_, h) => ({ name: `head ${h + 1}`, row: floats(7, rng.uniform) })),
    }));
    const { width, height, data } = attentionGrid(blocks, { config, overlay: false });
    const [{ row }] = blocks[images - 1].maps.slice(-1);
    const top = Math.max(...row.slice(1));
    const times = scaleOf(12, images * heads > 40);
    // The first line of pixels of the last map: its upper three patches.
    const line = Buffer.concat(
      [1, 2, 3].map((l) => Buffer.concat(Array(4 * times).fill(Buffer.from(heat(row[l] / top))))),
    );
    assert.ok(Buffer.from(data).includes(line), `${images} images, ${heads} heads`);
    assert.ok(width < 1600 && data.length === 3 * width * height);
  }
});

test('animations hold their frames with their times', async () => {
  const sharp = await loadSharp();
  const frames = [40, 120, 200].map((v) => blank(24, 16, [v, 255 - v, 90]));
  for (const format of ANIMATIONS) {
    const made = await encodeAnimation(frames, [100, 200, 300], format);
    const { pages, delay, loop } = await sharp(made, { animated: true }).metadata();
    assert.equal([pages, delay, loop], [3, [100, 200, 300], 0], format);
    for (const [page, { data }] of frames.entries()) {
      const shown = await sharp(made, { page }).removeAlpha().raw().toBuffer();
      assert.ok(
        shown.every((v, i) => Math.abs(v - data[i]) < 12),
        `${format}, frame ${page}`,
      );
    }
  }
});

test.run();
