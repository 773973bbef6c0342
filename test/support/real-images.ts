// Real images by class, of the sheet that comes with the page (CIFAR-10): a folder of PNG files, for tests that go where users go.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeImage } from '../../mae/data/image.ts';
import { loadSharp } from '../../mae/data/sharp.ts';
import { fromSheet } from '../../mae/web/images/sheet.ts';

const file = (name: string): Buffer => readFileSync(new URL(`../../mae/web/images/${name}`, import.meta.url));

/**
 * Writes `folder`/SPLIT/CLASS/N.png, N the place on the sheet: of every class so many as `counts` says, the first ones for the first split. An image
 * is in one split alone.
 */
export async function writeRealImages(
  folder: string,
  counts: Readonly<Record<string, number>>,
  classes: readonly string[],
): Promise<void> {
  const [sharp, sheet] = [await loadSharp(), await decodeImage(file('cifar10.webp'), 'sheet', -1)];
  const { train } = fromSheet(sheet);
  const labels = file('cifar10.labels.txt').toString('utf8').replaceAll('\n', '');
  for (const name of classes) {
    const digit = String(train.classes?.indexOf(name));
    const own = Array.from({ length: train.length }, (_, at) => at).filter((at) => labels[at] === digit);
    for (const [split, count] of Object.entries(counts)) {
      const path = join(folder, split, name);
      mkdirSync(path, { recursive: true });
      for (const at of own.splice(0, count)) {
        const { data, width, height } = await train.read(at);
        await sharp(data, { raw: { width, height, channels: 3 } })
          .png()
          .toFile(join(path, `${at}.png`));
      }
    }
  }
}
