// Features for a program of one's own: images by bytes, colours for a model of grey, a checkpoint by its bytes; mistakes are told.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/index.ts';
import { openDawn } from '../engine/node/index.ts';
import {
  configure,
  type Dataset,
  Extractor,
  type ExtractorOptions,
  fromPretrained,
  MaskedAutoencoder,
  reconstruct,
} from '../mae/browser.ts';
import { imageFiles } from '../mae/node.ts';
import { type Mistake, allRefused } from './support/thrown.ts';

const path = (name: string): string => fileURLToPath(new URL(`../mae/web/${name}`, import.meta.url));
const engine = new Engine(await openDawn());
const pictures = ['bird', 'cat', 'ship'].map((name) => readFileSync(path(`samples/${name}.png`)));
const weights = readFileSync(path('weights/cifar10.safetensors'));

async function rowsOf(extractor: Extractor<'cls' | 'gap'>, set: Dataset, order?: Uint32Array): Promise<number[][]> {
  const rows: number[][] = [];
  for await (const { ids, values } of extractor.over(set, order)) {
    const width = values.cls.length / ids.length;
    for (let i = 0; i < ids.length; i++) rows.push([...values.cls.subarray(i * width, (i + 1) * width)]);
  }
  return rows;
}

test('of all images or of some, in batches, from the bytes of a checkpoint and of files', async () => {
  const { model, data, config } = await fromPretrained(engine, weights, { only: 'encoder' });
  const options = { mean: data.mean, std: data.std, kinds: ['cls', 'gap'], batchSize: 2 } as const;
  const extractor = new Extractor(engine, model, options);
  const set = await imageFiles(pictures);
  const all = await rowsOf(extractor, set);
  assert.equal([all.length, all[0].length], [3, config.embed_dim]);
  assert.ok(all.flat().every(Number.isFinite));
  const some = await rowsOf(extractor, set, Uint32Array.of(2, 0));
  for (const [i, id] of [2, 0].entries())
    for (const [j, value] of some[i].entries()) assert.ok(Math.abs(value - all[id][j]) < 1e-4, `image ${id}, ${j}`);
  const { buffer, byteOffset, byteLength } = new Uint8Array(weights);
  const whole = await fromPretrained(engine, buffer.slice(byteOffset, byteOffset + byteLength));
  assert.is(whole.kind, 'autoencoder');
});

const grey = new MaskedAutoencoder(engine, configure('mae_vit_nano_patch4_32', { in_chans: 1, depth: 1 }), 0);
const luma: ExtractorOptions<'cls' | 'gap'> = { mean: [0.5], std: [0.2], kinds: ['cls', 'gap'] };

test('a model of one channel sees the luma of images in colour', async () => {
  const seen = await rowsOf(new Extractor(engine, grey, luma), await imageFiles(pictures));
  const given = await rowsOf(new Extractor(engine, grey, luma), await imageFiles(pictures, { channels: 1 }));
  assert.equal(seen, given);
  const [{ img }] = await reconstruct(engine, grey, await imageFiles(pictures), { maskRatio: 0.75, seed: 0, ids: [0] });
  assert.is(img.length, 32 * 32);
});

test('mistakes are told in a line', async () => {
  const set = await imageFiles(pictures);
  const over = (options: object, order?: Uint32Array) => () =>
    rowsOf(new Extractor(engine, grey, { ...luma, ...options }), set, order);
  const mistakes: readonly Mistake[] = [
    [over({ kinds: ['tokens'] }), /^features: there is no tokens, there are cls, gap, patch_tokens$/],
    [over({ layer: 9 }), /^features: layer must be 0 .* to 1 .*, got 9$/],
    [
      over({ mean: [0.5, 0.5, 0.5] }),
      /^images: the model takes 1 channels, mean and std must have as many numbers, got 3 and 1$/,
    ],
    [over({}, Uint32Array.of(0, 3)), /^loader: there is no image 3, images has 3$/],
    [() => fromPretrained(engine, undefined as never), /^weights: give a path, an address, .*, got undefined$/],
    [
      () => fromPretrained(engine, weights.subarray(0, 50)),
      /^safetensors: the given bytes: header length .* passes the end/,
    ],
    [() => fromPretrained(engine, pictures[0]), /^the given bytes: holds no weights that are known/],
  ];
  await allRefused(mistakes);
  engine.dispose();
});

test.run();
