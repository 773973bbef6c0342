// Checkpoints that a disk, a copy or another version changed: every one is refused in one line that names it, and nothing of it is loaded.
// `FLIPS=10000` flips more bits, `MUTANTS=10000` damages more in other ways.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { TesseraeError } from '../../engine/errors.ts';
import { parseSafetensors } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { random } from '../../kernels/random/random.ts';
import { configure, parameterSpecs } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { loadCheckpoint, saveCheckpoint } from '../../mae/train/checkpoint.ts';
import { FORMAT } from '../../mae/train/modelfile.ts';
import { VERSION } from '../../mae/version.ts';
import { mutants } from '../support/mutate.ts';
import { join as joined } from '../support/safetensors-raw.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const flips = Number(process.env.FLIPS ?? 500);
const damaged = Number(process.env.MUTANTS ?? 500);
console.log(`SEED=${seed}`);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-damage-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const config = configure('mae_vit_nano_patch4_32', {
  img_size: [8, 8],
  embed_dim: 8,
  depth: 1,
  num_heads: 1,
  decoder_embed_dim: 8,
  decoder_depth: 1,
  decoder_num_heads: 1,
});
const weights = initialWeights(config, seed);
const path = join(folder, 'checkpoint.safetensors');
await saveCheckpoint(path, {
  config,
  weights,
  data: { name: 'x', mean: [0, 0, 0], std: [1, 1, 1], classes: ['a', 'b'] },
  maskRatio: 0.75,
  optimizer: { name: 'adamw', slots: { m: weights, v: weights }, step: 5, lossScale: null },
  training: {
    recipe: { seed: 1 },
    images: 9,
    epoch: 0,
    step: 9,
    lossSum: 1,
    logs: {},
    adapter: 'some',
    picks: {},
  },
});
const whole = new Uint8Array(readFileSync(path));
const dataStart = 8 + Number(new DataView(whole.buffer).getBigUint64(0, true));
const other = join(folder, 'other.safetensors');

/** The one line that these bytes are refused with; null where they are loaded. */
async function refusal(bytes: Uint8Array): Promise<string | null> {
  writeFileSync(other, bytes);
  try {
    await loadCheckpoint(other, { training: true });
    return null;
  } catch (error) {
    assert.instance(error, TesseraeError, String((error as Error).stack));
    const { message } = error as Error;
    assert.ok(message.includes(other), message);
    assert.not.match(message, '\n');
    return message;
  }
}

/** The checkpoint with other metadata, its checksums right. */
function remade(change: (metadata: Map<string, string>) => void): Uint8Array {
  const { tensors, metadata } = parseSafetensors(whole);
  const texts = new Map(metadata);
  change(texts);
  return joined(writeSafetensors(tensors, texts));
}

test('the file as it was saved is loaded', async () => {
  assert.is(await refusal(whole), null);
});

test(`${flips} flipped bits of a checkpoint: all noticed`, async () => {
  const rng = random(seed, 1);
  for (let i = 0; i < flips; i++) {
    const bytes = whole.slice();
    // As many in the header, which a small part of the file.
    const bit = rng.below(8 * (i % 2 ? bytes.length : dataStart));
    bytes[bit >> 3] ^= 1 << (bit & 7);
    assert.ok(await refusal(bytes), `bit ${bit} went unseen`);
  }
});

test('cut at every kind of boundary: one line', async () => {
  const ends = [...parseSafetensors(whole).tensors.values()].map(({ data }) => data.byteOffset + data.length);
  const cuts = new Set([0, 1, 7, 8, 9, dataStart, ...ends].flatMap((at) => [at - 1, at, at + 1]));
  for (const at of cuts) if (at >= 0 && at < whole.length) assert.ok(await refusal(whole.slice(0, at)), `cut at ${at}`);
});

test(`${damaged} mutants of a checkpoint: refused, or not changed at all`, async () => {
  for (const { name, bytes } of mutants(whole, damaged, seed)) {
    const same = Buffer.from(bytes).equals(whole);
    const began = performance.now();
    const message = await refusal(bytes).catch((error: Error) => assert.unreachable(`${name}: ${error.message}`));
    assert.is(message === null, same, `${name}: ${message}`);
    assert.ok(performance.now() - began < 1000, name);
  }
});

test('of a newer version: says which made it and which this is', async () => {
  const message = await refusal(
    remade((texts) => {
      texts.set('tesserae', String(FORMAT + 1));
      texts.set('made_by', '99.1.0');
    }),
  );
  assert.ok(message?.includes(`made by Tesserae 99.1.0, this is ${VERSION}: format ${FORMAT + 1},`), message ?? '');
  assert.match(message ?? '', /update Tesserae$/);
  assert.match((await refusal(remade((texts) => texts.set('tesserae', 'new')))) ?? '', /format new.*update Tesserae$/);
});

test('of other sizes than it says: the first tensor that does not fit is named, with both shapes', async () => {
  const wider = remade((texts) => texts.set('config', JSON.stringify({ ...config, embed_dim: 16 })));
  assert.match((await refusal(wider)) ?? '', /cls_token is \(1,1,8\), the model needs \(1,1,16\)/);
  const deeper = remade((texts) => texts.set('config', JSON.stringify({ ...config, depth: 2 })));
  const missing = parameterSpecs(config).filter(({ name }) => name.startsWith('blocks.')).length;
  assert.match((await refusal(deeper)) ?? '', new RegExp(`lacks ${missing} weights, first blocks\\.1\\.`));
  for (const [what, texts] of [
    ['config', '{'],
    ['config', '{"embed_dim": -1}'],
    ['config', 'null'],
    ['config', '[]'],
  ] as const)
    assert.ok(await refusal(remade((map) => map.set(what, texts))), texts);
});

test.run();
