// From real images to a number and back, by the commands that a user types: pretrain, finetune, eval, classify, linprobe, knn, features, compare.
// What one of them says must be what another one says, or what a few plain lines make of its files.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { toFloat32, viewAs } from '../engine/rawtensor.ts';
import { parseSafetensors } from '../engine/safetensors.ts';
import { explain } from '../mae/cli/explain.ts';
import { run } from '../mae/cli/program.ts';
import { writeRealImages } from './support/real-images.ts';
import { cli } from './support/spawn-cli.ts';

const home = mkdtempSync(join(tmpdir(), 'tesserae-lifecycle-'));
const at = (...names: string[]): string => join(home, ...names);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const env = { TESSERAE_CACHE: at('cache') };
const CLASSES = ['automobile', 'frog', 'ship'];
const COUNTS = { train: 32, val: 24, test: 12 };
const data = ['--data_path', at('data')];
test.before(() => writeRealImages(at('data'), COUNTS, CLASSES));
test.after(() => rmSync(home, { recursive: true, force: true }));

const flags = (of: Record<string, unknown>): string[] =>
  Object.entries(of).flatMap(([name, value]) => [`--${name}`, String(value)]);
async function tesserae(...args: string[]): Promise<{ out: string; err: string }> {
  const { code, out, err } = await cli(args, env);
  assert.is(code, 0, `tesserae ${args.join(' ')} (SEED=${seed})\n${err}`);
  return { out, err };
}
/** Cells of a printed table, without its head. */
const cellsIn = (out: string): string[][] =>
  out
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/ {2,}/));
const linesOf = (...names: string[]): Record<string, number>[] =>
  readFileSync(at(...names), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const images = (split: string): string[] =>
  CLASSES.flatMap((name) => readdirSync(at('data', split, name)).map((file) => at('data', split, name, file)));
const classOf = (path: string): string => basename(dirname(path));
const encoder = at('mae/checkpoint.safetensors');
const classifier = at('tuned/checkpoint.safetensors');

const PRETRAINING = {
  model: 'mae_vit_nano_patch4_32',
  patch_size: 8,
  embed_dim: 48,
  depth: 2,
  decoder_embed_dim: 32,
  decoder_depth: 1,
  batch_size: 16,
  epochs: 4,
  warmup_epochs: 0.5,
  lr: 3e-3,
  heldout: 72,
  pictures: 0,
  save_freq: 0,
  seed,
};

test('pretrain: the loss falls on images that it does not see, and the features are looked at', async () => {
  const { err } = await tesserae(
    'pretrain',
    ...data,
    ...flags({ ...PRETRAINING, output_dir: at('mae'), evidence_freq: 4 }),
  );
  const log = linesOf('mae/log.txt');
  const [before] = linesOf('mae/metrics.jsonl');
  assert.equal([log.length, before.step], [4, 0]);
  const last = log[3].heldout_loss;
  assert.ok(last < 0.9 * before.heldout_loss, `held-out loss ${before.heldout_loss}, then ${last}; SEED=${seed}`);
  assert.ok(err.includes(`held-out masked loss after epoch 4: ${last.toFixed(4)}`), err);
  const { knn_top1, linear_top1, effective_rank } = log[3];
  for (const top1 of [knn_top1, linear_top1])
    assert.ok(Math.abs((72 * top1) / 100 - Math.round((72 * top1) / 100)) < 1e-9);
  assert.ok(effective_rank > 1 && effective_rank <= 48);
});

test('a run that --max_steps ends within an epoch is judged there, compare takes it, and it goes on as if nothing had been', async () => {
  const cut = { ...PRETRAINING, output_dir: at('cut'), max_steps: 9 };
  const { err } = await tesserae('pretrain', ...data, ...flags(cut));
  const [first, part] = linesOf('cut/log.txt');
  const whole = linesOf('mae/log.txt').map(({ knn_top1, linear_top1, effective_rank, ...line }) => line);
  assert.equal(first, whole[0]);
  assert.equal([part.epoch, part.part], [1, 0.5]);
  assert.ok(err.includes(`held-out masked loss after step 9: ${part.heldout_loss.toFixed(4)}`), err);
  const { out } = await tesserae('compare', at('mae'), at('cut'), '--output', at('compare.svg'));
  for (const metric of ['train_loss', 'heldout_loss'])
    assert.match(
      out,
      new RegExp(`mae +cut\\n(?:.+\\n)?${metric} .*together: within 2.0 % at epoch 1, the last of 1 in common`),
    );
  assert.match(readFileSync(at('compare.svg'), 'utf8'), /<svg[\s\S]*heldout_loss/);
  await tesserae('pretrain', '--resume', 'auto', '--output_dir', at('cut'));
  assert.equal(linesOf('cut/log.txt'), whole);
});

test('finetune by a file: the training loss falls, and what an encoder knows is not asked for', async () => {
  const tuning = { epochs: 8, warmup_epochs: 0.5, batch_size: 16, lr: 3e-3, augment: 'light', drop_path: 0, ema: 0.8 };
  const yaml = Object.entries({ ...tuning, save_freq: 0, seed }).map(([name, value]) => `  ${name}: ${value}`);
  writeFileSync(at('tuning.yaml'), ['optim:', ...yaml].join('\n'));
  const args = ['finetune', '--config', at('tuning.yaml'), ...data, '--finetune', encoder, '--output_dir', at('tuned')];
  const trained = await tesserae(...args, '--model', 'vit_base_patch16', '--nb_classes', '3');
  assert.match(trained.err, /--model is not used: .* knows its sizes/);
  assert.match(trained.err, /--nb_classes is not used/);
  assert.match(readFileSync(at('tuned/loss.svg'), 'utf8'), 'cross-entropy');
  const losses = linesOf('tuned/log.txt').map(({ train_loss }) => train_loss);
  assert.ok(losses[7] < 0.9 * losses[0], `${losses}; SEED=${seed}`);
});

/** What classify takes each image for. */
async function taken(paths: readonly string[]): Promise<Map<string, string>> {
  const { out } = await tesserae('classify', classifier, ...paths);
  const lines = out.trim().split('\n');
  assert.is(lines.length, paths.length);
  return new Map(
    lines.map((line, i) => {
      const [path, answer] = line.split(/ {2,}/);
      assert.is(path, paths[i]);
      const parts = [...answer.matchAll(/(\w+) (\d+\.\d) %/g)].map(([, name, part]) => ({ name, part: Number(part) }));
      assert.equal(parts.map(({ name }) => name).sort(), CLASSES);
      assert.ok(parts.every(({ part }, k) => k === 0 || part <= parts[k - 1].part));
      assert.ok(Math.abs(sum(parts.map(({ part }) => part)) - 100) < 0.3);
      return [path, parts[0].name];
    }),
  );
}

/** JSON of `eval`, whose table must say the same. */
async function evaluated(checkpoint: string, split: 'val' | 'test', ...more: string[]) {
  const args = ['--split', split, '--json', at('eval.json'), '--batch_size', '5', ...more];
  const { out } = await tesserae('eval', checkpoint, ...data, ...args);
  const told = JSON.parse(readFileSync(at('eval.json'), 'utf8'));
  const { images, top1, top5, loss, confusion, classes } = told;
  const percent = (x: number): string => `${x.toFixed(2)} %`;
  assert.equal(cellsIn(out)[0], [split, String(images), percent(top1), percent(top5), loss.toFixed(4)]);
  const each = COUNTS[split];
  assert.equal([images, top5, classes], [3 * each, 100, CLASSES]);
  assert.equal(confusion.map(sum), [each, each, each]);
  const right = sum(CLASSES.map((_, i) => confusion[i][i]));
  assert.ok(Math.abs(top1 - (100 * right) / images) < 1e-9);
  return told as { top1: number; loss: number; confusion: number[][] };
}

test("eval: the numbers of finetune's log, of the trained weights and the averaged ones", async () => {
  const last = linesOf('tuned/log.txt')[7];
  const own = await evaluated(classifier, 'val');
  assert.is(own.top1, last.test_acc1);
  assert.ok(Math.abs(own.loss - last.test_loss) < 1e-5);
  assert.is((await evaluated(classifier, 'val', '--ema', '--confusion', at('ema.png'))).top1, last.ema_acc1);
  assert.equal([...readFileSync(at('ema.png')).subarray(1, 4)], [...Buffer.from('PNG')]);
  const theirs = await tesserae('finetune', '--eval', '--resume', classifier, ...data, '--batch_size', '5');
  assert.is(cellsIn(theirs.out)[0][2], `${last.test_acc1.toFixed(2)} %`);
});

test('classify: image by image what eval counted and drew; those that it was trained on far better than by chance', async () => {
  const { confusion } = await evaluated(classifier, 'test', '--output', at('confusion.svg'));
  const answers = await taken([...images('test'), ...images('train')]);
  const count = (split: string, is: string, says: string): number =>
    images(split).filter((path) => classOf(path) === is && answers.get(path) === says).length;
  const of = (split: string) => CLASSES.map((is) => CLASSES.map((says) => count(split, is, says)));
  assert.equal(of('test'), confusion);
  const { out } = await tesserae('classify', classifier, at('data'), '--top', '1');
  const folder = new Map(
    out
      .trim()
      .split('\n')
      .map((line) => line.split(/ {2,}| /, 2) as [string, string]),
  );
  assert.equal(folder, new Map(images('test').map((path) => [relative(at('data/test'), path), answers.get(path)])));
  const cells = readFileSync(at('confusion.svg'), 'utf8').matchAll(/"taken for: (\w+); is: (\w+); %: ([\d.]+)"/g);
  const drawn = new Map([...cells].map(([, says, is, part]) => [`${is} ${says}`, (Number(part) * 12) / 100]));
  for (const [i, is] of CLASSES.entries())
    for (const [j, says] of CLASSES.entries())
      assert.ok(Math.abs((drawn.get(`${is} ${says}`) ?? -1) - confusion[i][j]) < 1e-3, `${is} for ${says}`);
  // 96 images, a third by chance: 14 more than by chance are three standard deviations.
  const right = sum(of('train').map((row, i) => row[i]));
  assert.ok(right >= 46, `${right} of 96; SEED=${seed}`);
});

test('linprobe: says where its rates are too small; those that it then names beat chance, and eval says the same of the head', async () => {
  const args = ['linprobe', encoder, ...data, '--seed', String(seed)];
  const slow = await tesserae(...args, '--features', 'gap', '--views', '1');
  const [said, rates] =
    slow.err.match(/the head will hardly learn: 96 training images, .*; try --blr ([\d.,]+) /) ?? [];
  assert.ok(said, slow.err);
  assert.not.match(slow.out, /test/);
  const { out, err } = await tesserae(...args, '--blr', rates);
  assert.not.match(err, /hardly learn/);
  assert.match(err, /features of 96 images \([^,\n]*\): computed/, 'the whole image, not a view of it');
  assert.match(err, /features of 72 images .*: found in the cache/);
  const { rows } = JSON.parse(readFileSync(at('mae/linprobe.json'), 'utf8'));
  assert.is(rows.length, 6);
  const percent = (x: number): string => `${x.toFixed(2)} %`;
  assert.equal(
    cellsIn(out).slice(0, 6),
    rows.map((r: { features: string; blr: number; val: { top1: number; top5: number; loss: number } }) => [
      ...[r.features, String(r.blr), percent(r.val.top1), percent(r.val.top5), r.val.loss.toFixed(4)],
    ]),
  );
  for (const features of ['cls', 'gap']) {
    const { val } = rows.find((r: { features: string; best: boolean }) => r.best && r.features === features);
    const { top1, loss } = await evaluated(at(`mae/linprobe-${features}.safetensors`), 'val');
    assert.is(top1, val.top1);
    assert.ok(Math.abs(loss - val.loss) < 1e-4 * (1 + loss));
    // 72 images, a third by chance: 8 more than by chance are two standard deviations.
    assert.ok(top1 >= (100 * 32) / 72, `${features} ${top1}; SEED=${seed}`);
  }
});

test('knn: what plain lines make of the features that features writes', async () => {
  const [train, val] = await Promise.all(
    ['train', 'val'].map(async (split) => {
      const file = at(`${split}.safetensors`);
      const said = await tesserae('features', encoder, at('data'), '--split', split, '--out', file);
      const { tensors, metadata } = parseSafetensors(readFileSync(file));
      const ids = images(split).map((path) => `${split}/${classOf(path)}/${basename(path)}`);
      assert.equal(JSON.parse(metadata.get('ids')!), ids);
      const labels = [...viewAs(tensors.get('labels')!, 'I32')];
      assert.equal(
        labels,
        ids.map((id) => CLASSES.indexOf(id.split('/')[1])),
      );
      assert.match(said.err, /features of .* images\/s/);
      const rows = (kind: string): Float64Array[] => {
        const x = toFloat32(tensors.get(kind)!);
        return labels.map((_, i) => {
          const row = Float64Array.from(x.subarray(48 * i, 48 * (i + 1)));
          return row.map((value) => value / Math.hypot(...row));
        });
      };
      return { labels, cls: rows('cls'), gap: rows('gap') };
    }),
  );
  const nearest = (kind: 'cls' | 'gap'): number => {
    const right = val[kind].filter((query, q) => {
      const alike = train[kind].map((row) => row.reduce((dot, value, d) => dot + value * query[d], 0));
      return train.labels[alike.indexOf(Math.max(...alike))] === val.labels[q];
    });
    return (100 * right.length) / val.labels.length;
  };
  const { out, err } = await tesserae('knn', encoder, ...data, '--k', '1,5');
  const rows = cellsIn(out).slice(0, 4);
  assert.equal(
    rows.map(([kind, k]) => `${kind} ${k}`),
    ['cls 1', 'cls 5', 'gap 1', 'gap 5'],
  );
  for (const kind of ['cls', 'gap'] as const)
    assert.is(rows.find((row) => row[0] === kind)?.[2], `${nearest(kind).toFixed(2)} %`);
  assert.match(err, /neighbours by gap {2}\d+ images\/s/);
});

test('mistakes are told in one line', async () => {
  for (const [args, says] of [
    [['linprobe', encoder, '--data_path', at('data/train/frog')], /images without classes cannot be classified/],
    [['linprobe', encoder, ...data, '--blr', '0.1,0'], /--blr must be a number above 0, .*got 0/],
    [['linprobe', encoder, ...data, '--features', 'cla'], /--features must be of cls, gap, both, .* got cla/],
    [['knn', encoder, ...data, '--k', '0'], /--k must be a whole number of at least 1, got 0/],
    [['knn', encoder], /--data_path is missing/],
    [['classify', encoder, images('test')[0]], /holds a masked autoencoder: .*finetune/],
    [['compare', at('mae'), at('data')], /data has no log.txt: name the output_dir of a run/],
    [
      ['compare', at('mae'), at('tuned'), '--metric', 'heldout_loss'],
      /--metric heldout_loss: the runs share train_loss/,
    ],
  ] as const) {
    const told = await run(args).then(
      () => ({ line: 'no error', code: 0 }),
      (error: unknown) => explain(error),
    );
    assert.match(told.line, says);
    assert.match(told.line, /^tesserae: [^\n]+$/);
    assert.ok(told.code > 0);
  }
});
test.run();
