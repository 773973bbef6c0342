// Every kind of pretraining on real images, from flags to checkpoint: masks, objectives, losses, positions, optimizers, schedules, evidence. Each run
// that is stopped within an epoch goes on to the same bits, and says in its log what it should.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { silent } from '../mae/train/reporter.ts';
import { recipeToResume } from '../mae/train/resume.ts';
import { hashOf } from './support/kill-resume.ts';
import { writePhotographs } from './support/photographs.ts';
import { cli } from './support/spawn-cli.ts';

const home = mkdtempSync(join(tmpdir(), 'tesserae-kinds-'));
const at = (...names: string[]): string => join(home, ...names);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const device = await openDawn();
const engine = new Engine(device);
test.before(() => writePhotographs(at('data'), { train: 4, val: 1 }));
test.after(() => {
  device.dispose();
  rmSync(home, { recursive: true, force: true });
});

/** 24 patches of 4 x 4 pixels; a step takes milliseconds. */
const SMALL = {
  model: 'mae_vit_nano_patch4_32',
  input_size: '16x24',
  embed_dim: 24,
  depth: 2,
  num_heads: 2,
  decoder_embed_dim: 16,
  decoder_depth: 1,
  decoder_num_heads: 1,
  mask_ratio: 0.5,
};
const TWO_EPOCHS = { epochs: 2, warmup_epochs: 0, lr: 1e-3, batch_size: 8, heldout: 10, save_freq: 0 };
const options = (output_dir: string, flags: Record<string, unknown>) =>
  parsePretrainOptions({ ...SMALL, ...TWO_EPOCHS, data_path: at('data'), seed, output_dir: at(output_dir), ...flags });
const logOf = (folder: string): Record<string, number>[] =>
  readFileSync(at(folder, 'log.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const latest = (folder: string): string => at(folder, 'checkpoint.safetensors');
const weightsOf = async (folder: string): Promise<string> =>
  String([...(await loadCheckpoint(latest(folder))).weights]);

const KINDS: Readonly<Record<string, Record<string, unknown>>> = {
  random: {},
  block: { mask: 'block' },
  grid: { mask: 'grid', mask_ratio: 0.75 },
  'bernoulli, the ratio follows the loss': { mask: 'bernoulli', mask_threshold: 100, epochs: 3 },
  'patches that are named': { ids_keep: '0,5-9,23' },
  'guided by the loss': { mask: 'loss', norm_pix_loss: true },
  'guided by attention': { mask: 'attention', mask_guidance: 1, checkpoint_blocks: true },
  simmim: { objective: 'simmim', mask: 'block' },
  'simmim, guided': { objective: 'simmim', mask: 'attention' },
  'L1, learned positions': { loss: 'l1', pos_embed: 'learned' },
  'no positions, sgd in steps': { pos_embed: 'none', opt: 'sgd', nesterov: true, sched: 'step', step_epochs: 0.4 },
  'lars on plateaus': { opt: 'lars', sched: 'plateau', patience: 0, gamma: 0.5, lr: 1e-9, min_lr: 1e-12, epochs: 3 },
  evidence: { evidence_freq: 1, evidence_images: 30, best: 'linear_top1' },
};
const seen = new Map<string, string>();

for (const [name, flags] of Object.entries(KINDS)) {
  test(`${name}: stopped and resumed is the same run (seed ${seed})`, async () => {
    const [whole, stopped] = [`${name} whole`, `${name} stopped`];
    await pretrain(engine, options(whole, flags), silent);
    const { done } = await pretrain(engine, options(stopped, { ...flags, max_steps: 8 }), silent);
    assert.is(done, 8);
    assert.ok((await loadCheckpoint(latest(stopped), { training: true })).training?.step, 'it stands within an epoch');
    // What it ended with is told, and taken back by who goes on.
    const end = logOf(stopped).at(-1) ?? {};
    assert.ok(end.part > 0 && end.part < 1 && end.train_loss > 0 && end.heldout_loss > 0, JSON.stringify(end));
    assert.is('knn_top1' in end, name === 'evidence');
    const recipe = await recipeToResume('auto', at(stopped));
    const rest = parsePretrainOptions({ resume: 'auto', output_dir: at(stopped) }, undefined, undefined, recipe);
    const { best, evidence_freq, evidence_images } = options(whole, flags);
    const besides = { best, evidence_freq, evidence_images, checkpoint_blocks: false };
    await pretrain(engine, { ...rest, ...besides }, silent);
    assert.is(hashOf(latest(stopped)), hashOf(latest(whole)));
    assert.equal(logOf(stopped), logOf(whole));
    for (const { train_loss, heldout_loss } of logOf(whole)) assert.ok(train_loss > 0 && heldout_loss > 0);
    // Each is a kind of its own, none another one under a second name; looking at features changes nothing.
    const weights = await weightsOf(whole);
    if (name === 'evidence') assert.is(weights, seen.get('random'));
    else assert.not([...seen.values()].includes(weights), name);
    seen.set(name, weights);
  });
}

test('the ratio rises below its threshold, and the checkpoint keeps the next one', async () => {
  const whole = 'bernoulli, the ratio follows the loss whole';
  const ratios = logOf(whole).map(({ mask_ratio }) => mask_ratio);
  assert.equal(
    ratios.map((r) => Math.round(100 * r)),
    [50, 55, 60],
  );
  const { training } = await loadCheckpoint(latest(whole), { training: true });
  assert.ok(Math.abs((training?.mask_ratio ?? 0) - 0.65) < 1e-9);
});

test('named patches say the ratio, which later commands use', async () => {
  const { maskRatio } = await loadCheckpoint(latest('patches that are named whole'));
  assert.ok(Math.abs(maskRatio - 17 / 24) < 1e-6, `${maskRatio}`);
});

test('a plateau lowers the rate, as a loss that does not move must', () => {
  // At this rate nothing is learned: of three evaluations after the first none is better by a ten-thousandth.
  const rates = logOf('lars on plateaus whole').map(({ train_lr }) => train_lr / 1e-9);
  assert.equal(
    rates.map((r) => Math.round(1e6 * r) / 1e6),
    [1, 1, 0.5],
  );
});

test('evidence: of the validation images, every epoch, and the best checkpoint is of the best epoch', async () => {
  const log = logOf('evidence whole');
  for (const { knn_top1, linear_top1, effective_rank } of log)
    assert.ok(knn_top1 >= 0 && knn_top1 <= 100 && linear_top1 >= 0 && effective_rank > 1 && effective_rank <= 24);
  assert.ok(existsSync(at('evidence whole', 'checkpoint-best.safetensors')));
  const { training } = await loadCheckpoint(at('evidence whole', 'checkpoint-best.safetensors'), { training: true });
  assert.is(training?.best, Math.max(...log.map(({ linear_top1 }) => linear_top1)));
  assert.is(training?.epoch, 1 + log.findIndex(({ linear_top1 }) => linear_top1 === training?.best));
});

test('by the command line: a guided mask, and a picture of the patches that are named', async () => {
  const flags = Object.entries({ ...SMALL, ...TWO_EPOCHS, epochs: 1, output_dir: at('cli'), mask: 'loss' });
  const given = flags.flatMap(([name, value]) => [`--${name}`, String(value)]);
  const trained = await cli(['pretrain', '--data_path', at('data'), ...given]);
  assert.is(trained.code, 0, trained.err);
  const [image, output] = [at('data/val/hat/0.png'), at('picture.png')];
  const drawn = await cli(['reconstruct', latest('cli'), image, '--ids_keep', '0-5', '--output', output]);
  assert.is(drawn.code, 0, drawn.err);
  assert.match(drawn.out, '6 of 24 patches were seen');
  assert.ok(existsSync(output));
  for (const [args, says] of [
    [['reconstruct', latest('cli'), image, '--ids_keep', '24'], /--ids_keep: patches have numbers 0 to 23/],
    [
      ['pretrain', '--data_path', at('data'), ...given, '--ids_keep', '1'],
      /--ids_keep says which patches stay: leave out --mask loss/,
    ],
    [
      ['pretrain', '--data_path', at('data'), ...given, '--mask_guidance', '2'],
      /--mask_guidance must be a number from 0 to 1, got 2/,
    ],
  ] as const) {
    const { code, err } = await cli(args);
    assert.is(code, 2);
    assert.match(err, says);
  }
});
test.run();
