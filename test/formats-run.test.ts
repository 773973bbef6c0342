// Training and evaluating on data in other forms than folders of images: the same images give the same weights in every form, and images of six
// channels train and are judged as others.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../kernels/random/random.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { noise, npy, parquet, tar } from './support/datafiles.ts';
import { cli } from './support/spawn-cli.ts';

const rng = random(Date.now() % 2 ** 31);
const home = mkdtempSync(join(tmpdir(), 'tesserae-formats-run-'));
test.after(() => rmSync(home, { recursive: true, force: true }));

const FLAGS =
  '--model mae_vit_nano_patch4_32 --depth 1 --decoder_depth 1 --batch_size 4 --epochs 1 --warmup_epochs 0.5'.split(' ');

async function trained(data: string, output: string) {
  const path = join(home, output);
  const end = await cli(['pretrain', '--data_path', join(home, data), '--output_dir', path, ...FLAGS], {
    TESSERAE_CACHE: join(home, 'cache'),
  });
  assert.is(end.code, 0, end.err);
  return loadCheckpoint(join(path, 'checkpoint.safetensors'));
}

test('a folder, WebDataset shards and a parquet file of the same images give the same weights', async () => {
  const labels = [0, 0, 0, 1, 1, 1];
  const images: Buffer[] = [];
  for (const [i, label] of labels.entries()) {
    const [height, width] = [20 + rng.below(20), 20 + rng.below(20)];
    const raw = { height, width, channels: 3 as const };
    images.push(
      await sharp(noise(rng, 3 * height * width), { raw })
        .jpeg()
        .toBuffer(),
    );
    mkdirSync(join(home, 'folder', `c${label}`), { recursive: true });
    writeFileSync(join(home, 'folder', `c${label}`, `${i}.jpg`), images[i]);
  }
  const shard = (from: number, to: number) =>
    tar(
      labels.slice(from, to).flatMap(
        (label, k) =>
          [
            [`${from + k}.jpg`, images[from + k]],
            [`${from + k}.cls`, Buffer.from(`${label}`)],
          ] as const,
      ),
    );
  mkdirSync(join(home, 'shards'));
  writeFileSync(join(home, 'shards/0.tar'), shard(0, 4));
  writeFileSync(join(home, 'shards/1.tar'), shard(4, 6));
  writeFileSync(join(home, 'set.parquet'), parquet(images, labels, { names: ['c0', 'c1'], rowGroupSize: 4 }));
  const folder = await trained('folder', 'of-folder');
  for (const [data, output] of [
    ['shards', 'of-shards'],
    ['set.parquet', 'of-parquet'],
  ]) {
    const other = await trained(data, output);
    assert.equal([...other.weights.keys()], [...folder.weights.keys()]);
    for (const [name, weight] of other.weights) assert.equal(weight, folder.weights.get(name), `${data}: ${name}`);
  }
});

test('float32 images of six channels: pretraining takes their number of channels, knn their labels', async () => {
  const count = 24;
  const values = new Float32Array(count * 6 * 20 * 24).map(() => 100 * rng.normal());
  mkdirSync(join(home, 'bands'));
  writeFileSync(join(home, 'bands/train.npy'), npy('<f4', [count, 6, 20, 24], new Uint8Array(values.buffer)));
  writeFileSync(
    join(home, 'bands/train_labels.npy'),
    npy(
      '|u1',
      [count],
      Uint8Array.from({ length: count }, (_, i) => i % 3),
    ),
  );
  const { config, data } = await trained('bands', 'of-bands');
  assert.equal([config.in_chans, data.mean.length, data.classes], [6, 6, ['0', '1', '2']]);
  const checkpoint = join(home, 'of-bands/checkpoint.safetensors');
  const flags = ['--data_path', join(home, 'bands'), '--k', '3', '--no_cache'];
  const end = await cli(['knn', checkpoint, ...flags], { TESSERAE_CACHE: join(home, 'cache') });
  assert.is(end.code, 0, end.err);
  assert.match(end.out, /\d+\.\d\d %/);
});

test.run();
