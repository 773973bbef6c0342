// Every command that takes a checkpoint takes those of others as they are: folders of transformers, files by the reference's names, an address.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { random } from '../kernels/random/random.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { fromPretrained } from '../mae/index.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { loadEncoder } from '../mae/weights/node.ts';
import { serveFiles } from './support/file-server.ts';
import { cli } from './support/spawn-cli.ts';

const FIXTURES = fileURLToPath(new URL('./oracle/fixtures/weights', import.meta.url));
const fixture = (name: string): string => join(FIXTURES, name);
const home = mkdtempSync(join(tmpdir(), 'tesserae-weights-run-'));
const at = (name: string): string => join(home, name);
test.after(() => rmSync(home, { recursive: true, force: true }));
const env = { TESSERAE_CACHE: at('cache') };

test.before(async () => {
  const sharp = await loadSharp();
  const rng = random(3);
  for (const split of ['train', 'val']) {
    for (let k = 0; k < 5; k++) {
      const folder = at(`data/${split}/${'abcde'[k]}`);
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < 4; i++) {
        const raw = Uint8Array.from({ length: 16 * 16 * 3 }, () => 40 * k + rng.below(60));
        await sharp(raw, { raw: { width: 16, height: 16, channels: 3 } })
          .png()
          .toFile(join(folder, `${i}.png`));
      }
    }
  }
});

/** Runs a command, which must end well. @returns what it printed */
async function tesserae(...args: string[]): Promise<string> {
  const { code, out, err } = await cli(args, env);
  assert.is(code, 0, `${args.join(' ')}\n${err}`);
  return out + err;
}

test('convert tells what a file is and writes each format; a second time it asks', async () => {
  const said = await tesserae(
    'convert',
    fixture('full.pth'),
    at('out/mae.safetensors'),
    '--to',
    'mae',
    '--num_heads',
    '2',
    '--decoder_num_heads',
    '1',
  );
  assert.match(said, /a masked autoencoder.*\n.*16 x 16 x 3, patches of 4 x 4/);
  assert.match(said, /predicts +normalised pixels/);
  await tesserae('convert', at('out/mae.safetensors'), at('out/hf'));
  await tesserae('convert', at('out/hf'), at('out/own.safetensors'));
  const [a, b] = await Promise.all([
    loadCheckpoint(at('out/mae.safetensors')),
    loadCheckpoint(at('out/own.safetensors')),
  ]);
  assert.equal(b.weights, a.weights);
  const again = await cli(['convert', at('out/hf'), at('out/own.safetensors')], env);
  assert.is(again.code, 2);
  assert.match(again.err, /own\.safetensors is there already: --overwrite replaces it/);
  const itself = await cli(['convert', at('out/own.safetensors'), at('out/own.safetensors'), '--overwrite'], env);
  assert.is(itself.code, 2);
  assert.match(itself.err, /own\.safetensors is what is read: choose another OUT/);
  const typo = await cli(['convert', at('out/hf'), at('out/own.safetensor')], env);
  assert.is(typo.code, 2);
  assert.match(typo.err, /own\.safetensor would be a folder for transformers: end OUT in \.safetensors/);
  const torch = await cli(['convert', at('out/hf'), at('out/own.pth')], env);
  assert.is(torch.code, 2);
  assert.match(torch.err, /own\.pth: written are \.safetensors files .* and folders/);
  const gap = at('out/gap.safetensors');
  await tesserae('convert', fixture('finetuned.pth'), gap, '--num_heads', '2');
  assert.match((await cli(['convert', gap, at('out/gap')], env)).err, /judges by the cls token/);
  assert.not.ok(existsSync(at('out/gap')), 'a refused conversion leaves a folder');
});

test('reconstruct, knn, eval and classify on weights of others', async () => {
  const image = at('data/val/a/0.png');
  assert.match(await tesserae('reconstruct', fixture('hf'), image, '--output', at('r.png')), /4 of 16 patches/);
  assert.match(
    await tesserae('knn', fixture('hf-model'), '--data_path', at('data'), '--k', '1'),
    /cls +1 +\d+\.\d\d %/,
  );
  assert.match(await tesserae('classify', fixture('hf-classifier'), image), /kind \d \d+\.\d %/);
  const unnamed = at('out/probe.safetensors');
  await tesserae('convert', fixture('probe.pth'), unnamed, '--num_heads', '2');
  assert.match(await tesserae('eval', unnamed, '--data_path', at('data')), /val +20 +\d+\.\d\d %/);
});

test('finetune and linprobe begin with an encoder of others', async () => {
  const flags = ['--data_path', at('data'), '--epochs', '1', '--warmup_epochs', '0', '--batch_size', '10'];
  const said = await tesserae(
    'finetune',
    '--finetune',
    fixture('hf-model'),
    ...flags,
    '--augment',
    'light',
    '--output_dir',
    at('tuned'),
  );
  assert.match(said, /init: .*hf-model: 28 tensors taken; not from it: fc_norm \(2\), head \(2\)/);
  const tuned = at('tuned/checkpoint.safetensors');
  const elsewhere = at('elsewhere');
  assert.match(
    await tesserae('finetune', '--resume', tuned, '--data_path', at('data'), '--output_dir', elsewhere),
    /this run had ended already; .*checkpoint\.safetensors has the classifier\n/,
  );
  // Its final norm is missing, which features of a layer do without.
  const features = ['--out', at('layer.npy'), '--features', 'gap'];
  assert.match(await tesserae('features', tuned, at('data'), ...features, '--layer', '1'), /gap +\(20, 16\)/);
  assert.match((await cli(['features', tuned, at('data'), ...features], env)).err, /without its final norm/);
  assert.match(await tesserae('linprobe', fixture('hf'), ...flags, '--output_dir', at('probe')), /top-1/);
});

test('--init and --resume take an address; a run that goes on from one ends as one from the disk', async () => {
  const server = await serveFiles(home);
  const others = await serveFiles(FIXTURES);
  try {
    const flags = [
      '--data_path',
      at('data'),
      '--epochs',
      '2',
      '--warmup_epochs',
      '0',
      '--batch_size',
      '10',
      '--evidence_freq',
      '0',
    ];
    const said = await tesserae(
      'pretrain',
      ...flags,
      '--init',
      `${others.url}/hf/model.safetensors`,
      '--max_steps',
      '3',
      '--output_dir',
      at('begun'),
    );
    assert.match(said, /init: http:.*: \d+ tensors taken/);
    const latest = at('begun/checkpoint.safetensors');
    for (const [resume, out] of [
      [latest, 'from-disk'],
      [`${server.url}/${basename(dirname(latest))}/checkpoint.safetensors`, 'from-address'],
    ] as const)
      await tesserae('pretrain', '--data_path', at('data'), '--resume', resume, '--output_dir', at(out));
    const [disk, address] = ['from-disk', 'from-address'].map((name) => readFileSync(at(`${name}/log.txt`), 'utf8'));
    assert.is(address, disk);
    const [x, y] = await Promise.all(
      ['from-disk', 'from-address'].map((name) => loadCheckpoint(at(`${name}/checkpoint.safetensors`))),
    );
    assert.equal(y.weights, x.weights);
    const ended = `${server.url}/from-disk/checkpoint.safetensors`;
    assert.match(
      await tesserae('pretrain', '--data_path', at('data'), '--resume', ended, '--output_dir', at('ended')),
      /this run had ended already; .*ended.checkpoint\.safetensors has the model\n/,
    );
    const wrong = await cli(
      ['pretrain', '--resume', `${server.url}/nothing.safetensors`, '--data_path', at('data'), '--output_dir', at('x')],
      env,
    );
    assert.match(wrong.err, /there is no such file \(HTTP 404\)/);
    const foreign = await cli(
      ['pretrain', '--resume', fixture('hf'), '--data_path', at('data'), '--output_dir', at('x')],
      env,
    );
    assert.match(foreign.err, /holds weights but no training state/);
  } finally {
    await server.close();
    await others.close();
  }
});

test('fromPretrained puts each kind on the device', async () => {
  using engine = new Engine(await openDawn());
  const { kind, model } = await fromPretrained(engine, fixture('hf'));
  assert.is(kind, 'autoencoder');
  const { weights } = await loadEncoder(fixture('hf'));
  for (const [name, values] of await model.parameters.read())
    if (weights.has(name)) assert.equal(values, weights.get(name));
  assert.is((await fromPretrained(engine, fixture('hf'), { only: 'encoder' })).kind, 'encoder');
  assert.is(
    (
      await fromPretrained(engine, new Blob([readFileSync(fixture('bfloat16.safetensors'))]), {
        num_heads: 2,
        decoder_num_heads: 1,
      })
    ).kind,
    'autoencoder',
  );
  const message = await fromPretrained(engine, fixture('finetuned.pth'), { num_heads: 2, only: 'encoder' }).catch(
    (e: Error) => e.message,
  );
  assert.match(String(message), /an encoder without its final norm/);
});

test.run();
