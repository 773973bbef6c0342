// One command from real images to the table, and what judges its parts: study for two recipes, knn and linprobe that say the same numbers of its
// checkpoint, compare that overlays its runs with one another and with what stands beside a recipe.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StudyResult } from '../mae/study.ts';
import { writePhotographs } from './support/photographs.ts';
import { cli } from './support/spawn-cli.ts';

const home = mkdtempSync(join(tmpdir(), 'tesserae-study-'));
const at = (...names: string[]): string => join(home, ...names);
const env = { TESSERAE_CACHE: at('cache') };
const recipe = (objective: string): string => `# A recipe as those of mae/recipes, of another size.
model:
  model: mae_vit_nano_patch4_32
  input_size: 16
  embed_dim: 24
  depth: 2
  num_heads: 2
  decoder_embed_dim: 16
  decoder_depth: 1
  decoder_num_heads: 1
  objective: ${objective}
data:
  data_path: ${at('data')}
  heldout: 10
optim:
  batch_size: 10
  blr: 2.0e-2
schedule:
  epochs: 2
  warmup_epochs: 1
output:
  save_freq: 0
study:
  knn: {k: 3, temperature: 0.1}
  linprobe: {blr: [0.5, 5], epochs: 4, warmup_epochs: 1, batch_size: 15}
  finetune: {augment: light, epochs: 1, warmup_epochs: 0.5, batch_size: 10, blr: 4.0e-3, drop_path: 0}
`;
test.before(async () => {
  await writePhotographs(at('data'), { train: 3, val: 1, test: 1 });
  for (const name of ['mae', 'simmim']) writeFileSync(at(`${name}.yaml`), recipe(name));
});
test.after(() => rmSync(home, { recursive: true, force: true }));

const resultOf = (name: string): StudyResult =>
  JSON.parse(readFileSync(at('out', name, 'seed-3/study.json'), 'utf8')) as StudyResult;
const args = ['study', at('mae.yaml'), at('simmim.yaml'), '--seeds', '3', '--output_dir', at('out')];

test('study: two recipes beside a random encoder, and nothing is done twice', async () => {
  const { code, out, err } = await cli(args, env);
  assert.is(code, 0, err);
  const lines = out.split('\n');
  assert.match(lines[0], /^test top-1 in % +random encoder +mae +simmim$/);
  const cells = new Map(
    lines
      .slice(1, 6)
      .map((line) => line.split(/ {2,}/))
      .map(([what, ...rest]) => [what, rest]),
  );
  for (const name of ['mae', 'simmim']) {
    const { seed, heldout_loss = 0, rows = [], finetune } = resultOf(name);
    assert.ok(seed === 3 && heldout_loss > 0 && rows.length === 4 && finetune);
    const column = name === 'mae' ? 1 : 2;
    for (const { encoder, features, linear, knn, effective_rank } of rows) {
      assert.ok(effective_rank > 1 && effective_rank <= 24);
      if (encoder === 'random' && name !== 'mae') continue;
      const which = encoder === 'random' ? 0 : column;
      assert.is(cells.get(`linear probe, ${features}`)?.[which], linear.toFixed(2));
      assert.is(cells.get(`kNN, ${features}`)?.[which], knn.toFixed(2));
    }
    assert.is(cells.get('fine-tuning, same number of steps')?.[column], finetune?.mae.toFixed(2));
  }
  assert.match(out, /^mae: held-out masked loss [\d.]+ \(squared error of plain pixels, 75 % masked\); /m);
  assert.match(out, /^simmim: held-out masked loss [\d.]+ \(absolute error of plain pixels, 75 % masked\); /m);
  assert.match(out, /^these losses are of different measures/m);
  // The same encoder before training: of both recipes the same numbers.
  const random = (name: string) => resultOf(name).rows?.filter(({ encoder }) => encoder === 'random');
  assert.equal(random('mae'), random('simmim'));
  const before = readFileSync(at('out/mae/seed-3/study.json'), 'utf8');
  const again = await cli(args, env);
  assert.is(again.out, out);
  assert.is(readFileSync(at('out/mae/seed-3/study.json'), 'utf8'), before);
  assert.not.match(again.err, /held-out masked loss/);
});

test('knn and linprobe say of the checkpoint what the study says', async () => {
  const checkpoint = at('out/mae/seed-3/pretrain/checkpoint.safetensors');
  const given = ['--data_path', at('data'), '--split', 'test'];
  const { rows = [] } = resultOf('mae');
  const near = await cli(
    ['knn', checkpoint, ...given, '--k', '1,3,500', '--temperature', '0.1', '--features', 'cls,gap,both'],
    env,
  );
  assert.is(near.code, 0, near.err);
  const told = near.out
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(/ {2,}/));
  assert.equal(
    told.map(([features, k]) => `${features} ${k}`),
    ['cls', 'gap', 'both'].flatMap((features) => [1, 3, 500].map((k) => `${features} ${k}`)),
  );
  assert.is(near.err.match(/--k 500: there are \d+ training images, and all of them vote/g)?.length, 1, near.err);
  const flags = ['--blr', '0.5,5', '--epochs', '4', '--warmup_epochs', '1', '--batch_size', '15', '--seed', '3'];
  for (const random of [[], ['--random_init']]) {
    const probed = await cli(['linprobe', checkpoint, ...given, ...flags, ...random, '--output_dir', at('probe')], env);
    assert.is(probed.code, 0, probed.err);
    const name = random.length ? 'linprobe-random.json' : 'linprobe.json';
    const found = JSON.parse(readFileSync(at('probe', name), 'utf8')).rows;
    for (const row of rows.filter(({ encoder }) => (encoder === 'random') === random.length > 0)) {
      const best = found.find((f: { features: string; best: boolean }) => f.features === row.features && f.best);
      assert.is(best.test.top1, row.linear, `${row.encoder} ${row.features}`);
      if (!random.length)
        assert.is(told.find(([features, k]) => features === row.features && k === '3')?.[2], `${row.knn.toFixed(2)} %`);
    }
  }
});

test('compare: a run beside another and beside a recipe with its log, in either order', async () => {
  const [mae, simmim] = ['mae', 'simmim'].map((name) => at('out', name, 'seed-3/pretrain'));
  copyFileSync(join(mae, 'log.txt'), at('mae.log.txt'));
  for (const [runs, says] of [
    [
      [mae, at('mae.yaml')],
      /pretrain +mae\.yaml\n(?:.+\n)?heldout_loss .* together: within 2\.0 % at epoch 2, the last of 2/,
    ],
    [[at('mae.yaml'), simmim], /heldout_loss .* apart from epoch \d on/],
  ] as const) {
    const { code, out, err } = await cli(['compare', ...runs, '--output', at('compare.svg')], env);
    assert.is(code, 0, err);
    assert.match(out, says);
    assert.match(readFileSync(at('compare.svg'), 'utf8'), /<svg[\s\S]*heldout_loss/);
  }
  for (const [runs, says] of [
    [[mae], /compare: name two runs at least/],
    [[mae, at('simmim.yaml')], /no run stands beside the recipe/],
    [[mae, simmim, '--metric', 'knn_top1'], /--metric knn_top1: the runs share train_loss, heldout_loss/],
  ] as const) {
    const { code, err } = await cli(['compare', ...runs], env);
    assert.is(code, 2);
    assert.match(err, says);
  }
});
test.run();
