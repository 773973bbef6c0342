// Fine-tuning from end to end on pictures that differ in colour: it learns them, an interrupted run goes on bit for bit, eval and
// classify say what the run said, and a linear probe becomes a classifier of the same answers.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { random } from '../kernels/random/random.ts';
import { explain, run } from '../mae/cli/program.ts';
import { labelledData } from '../mae/evaluate/open.ts';
import { loadSharp } from '../mae/data/sharp.ts';
import { loadClassifier } from '../mae/finetune/checkpoint.ts';
import { Judge } from '../mae/finetune/evaluate.ts';
import { finetune } from '../mae/finetune/finetune.ts';
import { parseFinetuneOptions } from '../mae/finetune/options.ts';
import { Classifier } from '../mae/model/classifier.ts';
import { initialWeights } from '../mae/model/init.ts';
import { saveCheckpoint } from '../mae/train/checkpoint.ts';
import { silent } from '../mae/train/reporter.ts';
import { recipeToResume } from '../mae/train/resume.ts';
import { hashOf } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';
import { TINY } from './support/tiny.ts';

const home = mkdtempSync(join(tmpdir(), 'tesserae-finetune-'));
const at = (name: string): string => join(home, name);
const COLOURS = { blue: [40, 60, 210], green: [50, 200, 60], red: [210, 50, 40] };
const COUNTS = { train: 16, val: 4, test: 3 };
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
const device = await openDawn();
const engine = new Engine(device);
const half = device.traits.features.has('shader-f16') ? new Engine(device, { precision: 'f16' }) : null;
const options = (flags: Record<string, unknown>) =>
  parseFinetuneOptions({ data_path: at('data'), finetune: at('encoder.safetensors'), seed, ...flags });

test.before(async () => {
  const sharp = await loadSharp();
  for (const [split, count] of Object.entries(COUNTS)) {
    for (const [name, colour] of Object.entries(COLOURS)) {
      mkdirSync(at(`data/${split}/${name}`), { recursive: true });
      for (let i = 0; i < count; i++) {
        const [width, height] = [16 + rng.below(9), 12 + rng.below(9)];
        const pixels = Uint8Array.from({ length: width * height * 3 }, (_, k) => colour[k % 3] + rng.below(80) - 40);
        const picture = sharp(pixels, { raw: { width, height, channels: 3 } });
        await picture.png().toFile(at(`data/${split}/${name}/${i}.png`));
      }
    }
  }
  await saveCheckpoint(at('encoder.safetensors'), {
    config: TINY,
    weights: initialWeights(TINY, 1),
    data: { name: 'x', mean: [0.4, 0.5, 0.6], std: [0.25, 0.3, 0.2], classes: null },
    maskRatio: 0.5,
    optimizer: null,
    training: null,
  });
});
test.after(() => {
  device.dispose();
  rmSync(home, { recursive: true, force: true });
});

const logOf = (folder: string): Record<string, number>[] =>
  readFileSync(at(`${folder}/log.txt`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const latest = (folder: string): string => at(`${folder}/checkpoint.safetensors`);
const QUICK = { epochs: 4, warmup_epochs: 0, lr: 3e-3, batch_size: 8, augment: 'light', drop_path: 0, save_freq: 0 };

test(`it learns, and the log has the reference's numbers (seed ${seed})`, async () => {
  const { judged } = await finetune(engine, options({ ...QUICK, output_dir: at('run') }), silent);
  assert.is(judged.test_acc1, 100);
  const log = logOf('run');
  assert.equal(
    log.map(({ epoch }) => epoch),
    [0, 1, 2, 3],
  );
  for (const { train_loss, test_loss, test_acc1, test_acc5, train_lr } of log)
    assert.ok(train_loss > 0 && train_lr > 0 && test_loss > 0 && test_acc1 >= 0 && test_acc5 === 100);
  const { config, data, weights } = await loadClassifier(latest('run'));
  const sizes = [...weights.values()].map(({ length }) => length);
  assert.is(
    log[0].n_parameters,
    sizes.reduce((a, b) => a + b),
  );
  assert.equal([config.nb_classes, config.pool, config.img_size], [3, 'gap', TINY.img_size]);
  assert.equal([data.classes, data.mean], [Object.keys(COLOURS), [0.4, 0.5, 0.6]]);
  assert.ok(weights.has('fc_norm.weight') && !weights.has('norm.weight'));
  assert.is((await loadClassifier(at('run/checkpoint-best.safetensors'))).training?.best, 100);
});

const EVERYTHING = { augment: 'strong', drop_path: 0.3, dropout: 0.1, ema: 0.9, clip_grad: 1, accum_iter: 2 };
for (const [name, flags] of [
  ['everything at once', EVERYTHING],
  ['sgd in steps, the cls token', { opt: 'sgd', nesterov: true, sched: 'step', step_epochs: 0.5, cls_token: true }],
  ['half precision', { precision: 'f16', augment: 'medium' }],
  ['lars on plateaus', { opt: 'lars', sched: 'plateau', patience: 0, weight_decay: 1e-4 }],
] as const) {
  test(`a run stopped in an epoch goes on bit for bit, without its encoder: ${name} (seed ${seed})`, async () => {
    const [whole, stopped] = [`${name} whole`, `${name} stopped`];
    const of = (output_dir: string, more = {}) =>
      options({ ...QUICK, epochs: 2, batch_size: 4, ...flags, output_dir: at(output_dir), ...more });
    const on = 'precision' in flags ? half : engine;
    if (!on) return;
    await finetune(on, of(whole), silent);
    const { done } = await finetune(on, of(stopped, { max_steps: 8 }), silent);
    assert.is(done, 8);
    assert.ok((await loadClassifier(latest(stopped))).training?.step, 'it stands within an epoch');
    const recipe = await recipeToResume('auto', at(stopped), undefined, loadClassifier);
    const more = { resume: 'auto', output_dir: at(stopped), checkpoint_blocks: true };
    const rest = parseFinetuneOptions(more, undefined, undefined, recipe);
    renameSync(at('encoder.safetensors'), at('away'));
    await finetune(on, rest, silent).finally(() => renameSync(at('away'), at('encoder.safetensors')));
    assert.is(hashOf(latest(stopped)), hashOf(latest(whole)));
    assert.equal(logOf(stopped), logOf(whole));
  });
}
test('of a partly frozen encoder only the last blocks, the norm and the head move', async () => {
  const flags = { ...QUICK, epochs: 1, unfreeze_blocks: 1, ema: 0.5, weight_decay: 0.5 };
  await finetune(engine, options({ ...flags, output_dir: at('partial') }), silent);
  const { weights, averages } = await loadClassifier(latest('partial'));
  const before = initialWeights(TINY, 1);
  for (const [name, values] of weights) {
    const [same, mean] = [String(values) === String(before.get(name)), String(averages?.get(name)) === String(values)];
    const frozen = /^(cls_token|pos_embed|patch_embed|blocks\.0)/.test(name);
    assert.equal([same, mean], [frozen, frozen], name);
  }
  const message = await finetune(engine, options({ ...flags, unfreeze_blocks: 9, output_dir: at('9') }), silent).catch(
    (error: Error) => error.message,
  );
  assert.match(String(message), /--unfreeze_blocks 9 is more than the 2 blocks/);
});

const toldBy = (args: readonly string[]): Promise<string> =>
  run(args).then(
    () => 'no error',
    (error: unknown) => explain(error).line,
  );

test('finetune, eval and classify by the command line agree', async () => {
  const flags = { ...QUICK, epochs: 3, ema: 0.8 };
  const yaml = Object.entries(flags).map(([name, value]) => `  ${name}: ${value}`);
  writeFileSync(at('run.yaml'), ['optim:', ...yaml].join('\n'));
  const [encoder, data, folder] = [at('encoder.safetensors'), at('data'), at('cli')];
  const args = ['--finetune', encoder, '--data_path', data, '--output_dir', folder, '--config', at('run.yaml')];
  const trained = await cli(['finetune', ...args, '--model', 'vit_base_patch16', '--nb_classes', '3']);
  assert.is(trained.code, 0, trained.err);
  assert.match(trained.err, /--model is not used: .* knows its sizes/);
  assert.match(trained.err, /--nb_classes is not used/);
  assert.match(readFileSync(at('cli/loss.svg'), 'utf8'), 'cross-entropy');

  const last = logOf('cli')[2];
  for (const [more, top1] of [
    [[], last.test_acc1],
    [['--ema'], last.ema_acc1],
  ] as const) {
    const flags = ['--json', at('eval.json'), '--confusion', at('confusion.png'), '--batch_size', '5', ...more];
    const { code, out, err } = await cli(['eval', latest('cli'), '--data_path', data, ...flags]);
    assert.is(code, 0, err);
    const told = JSON.parse(readFileSync(at('eval.json'), 'utf8'));
    assert.is(told.top1, top1);
    assert.match(out, `${told.top1.toFixed(2)} %`);
    if (!more.length) assert.ok(Math.abs(told.loss - last.test_loss) < 1e-5);
    assert.is(told.images, 12);
    assert.equal(
      told.confusion.map((row: number[]) => row.reduce((a, b) => a + b)),
      [4, 4, 4],
    );
  }
  assert.equal([...readFileSync(at('confusion.png')).subarray(1, 4)], [...Buffer.from('PNG')]);

  const theirs = await cli(['finetune', '--eval', '--resume', latest('cli'), '--data_path', data, '--batch_size', '5']);
  assert.is(theirs.code, 0, theirs.err);
  assert.match(theirs.out, `${last.test_acc1.toFixed(2)} %`);

  const image = (name: string): string => at(`data/test/${name}/0.png`);
  const { code, out, err } = await cli(['classify', latest('cli'), image('red'), image('blue')]);
  assert.is(code, 0, err);
  const [red, blue] = out.trim().split('\n');
  assert.match(red, /red.0\.png +red \d+\.\d %, \w+ \d+\.\d %, \w+ \d+\.\d %$/);
  assert.match(blue, /blue.0\.png +blue /);
  const parts = [...red.matchAll(/(\d+\.\d) %/g)].map(([, part]) => Number(part));
  assert.ok(Math.abs(parts.reduce((a, b) => a + b) - 100) < 0.3);
});

test('a linear probe is a classifier of the same answers', async () => {
  const flags = ['--data_path', at('data'), '--blr', '2', '--epochs', '20', '--no_cache', '--batch_size', '16'];
  const probed = await cli(['linprobe', at('encoder.safetensors'), ...flags]);
  assert.is(probed.code, 0, probed.err);
  const { data } = await loadClassifier(at('linprobe-cls.safetensors'));
  const { val } = await labelledData(at('data'));
  for (const row of JSON.parse(readFileSync(at('linprobe.json'), 'utf8')).rows) {
    const { config, weights } = await loadClassifier(at(`linprobe-${row.features}.safetensors`));
    const classifier = new Classifier(engine, config, weights);
    const { top1, loss } = await new Judge(engine, classifier, { ...data, batchSize: 7 }).metrics(val);
    assert.is(top1, row.val.top1);
    assert.ok(Math.abs(loss - row.val.loss) < 1e-4 * (1 + loss), `${loss} ${row.val.loss}`);
  }
});

test('mistakes are told in one line', async () => {
  writeFileSync(at('damaged.png'), 'no picture');
  mkdirSync(at('other/train/a'), { recursive: true });
  mkdirSync(at('other/train/b'), { recursive: true });
  for (const name of ['a', 'b']) writeFileSync(at(`other/train/${name}/0.png`), '');
  mkdirSync(at('other/val/a'), { recursive: true });
  writeFileSync(at('other/val/a/0.png'), '');
  const [encoder, data] = [at('encoder.safetensors'), at('data')];
  for (const [args, said] of [
    [['classify', latest('run'), at('damaged.png')], /image .*damaged\.png cannot be read/],
    [['classify', encoder, at('damaged.png')], /holds a masked autoencoder: .*finetune/],
    [['eval', encoder, '--data_path', data], /holds a masked autoencoder/],
    [['reconstruct', latest('run'), at('data/test/red/0.png')], /holds a classifier: eval, classify/],
    [['finetune', '--eval', '--data_path', data], /--eval: name the classifier by --resume CHECKPOINT/],
    [['knn', latest('run'), '--data_path', data], /an encoder without its final norm/],
    [['eval', latest('run'), '--data_path', data, '--ema'], /--ema: .* holds no averaged weights/],
    [['eval', latest('run'), '--data_path', at('other')], /val of .* has 1 classes, train of .* 2/],
    [['eval', latest('run'), '--data_path', data, '--split', 'train'], /--split must be one of val, test/],
    [['finetune', '--finetune', encoder, '--data_path', data, '--output_dir', at('run')], /holds a run already/],
  ] as const) {
    const line = await toldBy(args);
    assert.match(line, said);
    assert.match(line, /^tesserae: [^\n]+$/);
  }
});

test.run();
