// Makes mae/web/images/cifar10.webp, the images that the page trains on, and their labels from CIFAR-10's binary files:
// `npx tesserae run mae/data/page-sheet.ts`.
import { writeFile } from 'node:fs/promises';
import { openData } from './open.ts';
import { loadSharp } from './sharp.ts';
import { HELDOUT, SHEET, TRAIN } from '../web/images/sheet.ts';

const { columns, side } = SHEET;
const width = columns * side;
const height = Math.ceil((TRAIN + HELDOUT) / columns) * side;
const pixels = new Uint8Array(3 * width * height);
let labels = '';

const { train, heldout } = await openData('cifar10', undefined, HELDOUT);
for (let i = 0; i < TRAIN + HELDOUT; i++) {
  const { data, label } = i < TRAIN ? await train.read(i) : await heldout!.read(i - TRAIN);
  labels += i % columns === columns - 1 ? `${label}\n` : label;
  const [top, left] = [Math.floor(i / columns) * side, (i % columns) * side];
  for (let y = 0; y < side; y++)
    pixels.set(data.subarray(3 * y * side, 3 * (y + 1) * side), 3 * ((top + y) * width + left));
}
const sharp = await loadSharp();
const sheet = sharp(pixels, { raw: { width, height, channels: 3 } }).webp({
  lossless: true,
  effort: 4,
  quality: 100,
});
const bytes = await sheet.toBuffer();
await writeFile(new URL('../web/images/cifar10.webp', import.meta.url), bytes);
await writeFile(new URL('../web/images/cifar10.labels.txt', import.meta.url), labels);
process.stdout.write(`${TRAIN} + ${HELDOUT} images, ${(bytes.length / 1e6).toFixed(2)} MB\n`);
