// Fine-tuning on real images: an interrupted run goes on bit for bit, a part of the encoder may stay frozen, mistakes are told. How well it learns,
// and what eval and classify say of it: lifecycle.test.ts.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { explain } from '../mae/cli/explain.ts';
import { run } from '../mae/cli/program.ts';
import { loadClassifier } from '../mae/finetune/checkpoint.ts';
import { finetune } from '../mae/finetune/finetune.ts';
import { parseFinetuneOptions } from '../mae/finetune/options.ts';
import { initialWeights } from '../mae/model/init.ts';
import { silent } from '../mae/train/reporter.ts';
import { recipeToResume } from '../mae/train/resume.ts';
import { hashOf } from './support/kill-resume.ts';
import { writeRealImages } from './support/real-images.ts';
import { saveModel } from './support/saved.ts';
import { TINY } from './support/tiny.ts';

const home = mkdtempSync(join(tmpdir(), 'tesserae-finetune-'));
const at = (name: string): string => join(home, name);
const CLASSES = ['airplane', 'frog', 'ship'];
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const device = await openDawn();
const engine = new Engine(device);
const half = device.traits.features.has('shader-f16') ? new Engine(device, { precision: 'f16' }) : null;
const options = (flags: Record<string, unknown>) =>
  parseFinetuneOptions({ data_path: at('data'), finetune: at('encoder.safetensors'), seed, ...flags });

test.before(async () => {
  await writeRealImages(at('data'), { train: 16, val: 4, test: 1 }, CLASSES);
  await saveModel(at('encoder.safetensors'));
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

test(`the log has the reference's numbers, and the checkpoint what its classifier needs (seed ${seed})`, async () => {
  const { judged } = await finetune(engine, options({ ...QUICK, output_dir: at('run') }), silent);
  const log = logOf('run');
  assert.is(judged.test_acc1, log[3].test_acc1);
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
  assert.equal([data.classes, data.mean], [CLASSES, [0.4, 0.5, 0.6]]);
  assert.ok(weights.has('fc_norm.weight') && !weights.has('norm.weight'));
  assert.is(
    (await loadClassifier(at('run/checkpoint-best.safetensors'))).training?.best,
    Math.max(...log.map(({ test_acc1 }) => test_acc1)),
  );
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
    assert.ok(Number(logOf(stopped).at(-1)?.test_loss) > 0, 'judged where it ended');
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
    [['reconstruct', latest('run'), at('damaged.png')], /holds a classifier: eval, classify/],
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
