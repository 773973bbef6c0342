// Options of pretraining: the reference's names and defaults, files and flags, and mistakes named in the user's words.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pasted } from '../../mae/cli/command.ts';
import { modelConfig, peakRate } from '../../mae/train/configured.ts';
import { Command } from 'commander';
import { amountDoubts } from '../../mae/train/doubts.ts';
import { Updates } from '../../mae/train/updates.ts';
import type { Flags } from '../../mae/cli/command.ts';
import { define as defineFinetune } from '../../mae/cli/finetune.ts';
import { define as defineLinprobe } from '../../mae/cli/linprobe.ts';
import { ours } from '../../mae/cli/probe-flags.ts';
import { parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { OPTIONS, parsePretrainOptions, UNUSED } from '../../mae/train/options.ts';
import { UsageError } from '../../mae/usage.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-options-'));
test.after(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

function refusal(flags: Record<string, unknown>, config?: string): string {
  try {
    parsePretrainOptions(flags, config);
  } catch (error) {
    assert.instance(error, UsageError);
    return (error as Error).message;
  }
  throw new Error(`accepted ${JSON.stringify(flags)} ${config ?? ''}`);
}

test("facebookresearch/mae's defaults", () => {
  const options = parsePretrainOptions({ data_path: 'x' });
  const { model, batch_size, epochs, accum_iter, mask_ratio, norm_pix_loss, weight_decay, blr, min_lr } = options;
  assert.equal(
    { model, batch_size, epochs, accum_iter, mask_ratio, norm_pix_loss, weight_decay, blr, min_lr },
    {
      model: 'mae_vit_large_patch16',
      batch_size: 64,
      epochs: 400,
      accum_iter: 1,
      mask_ratio: 0.75,
      norm_pix_loss: false,
      weight_decay: 0.05,
      blr: 1e-3,
      min_lr: 0,
    },
  );
  assert.equal([options.warmup_epochs, options.output_dir, options.seed, options.resume], [40, './output_dir', 0, '']);
  assert.equal([options.lr, options.clip_grad], [undefined, undefined]);
  // Theirs is 10; ours no more than the machine has cores for.
  assert.is(options.num_workers, Math.min(10, Math.max(1, availableParallelism() - 1)));
  assert.equal(modelConfig(options).img_size, [224, 224]);
});

test('every flag of main_pretrain.py is taken, with dashes or underscores; those that mean nothing here are noted', () => {
  const theirs =
    'batch_size epochs accum_iter model input_size mask_ratio norm_pix_loss weight_decay lr blr min_lr warmup_epochs data_path output_dir log_dir device seed resume start_epoch num_workers pin_mem no_pin_mem world_size local_rank dist_on_itp dist_url';
  for (const name of theirs.split(' ')) assert.ok(name in OPTIONS || name in UNUSED, name);
  const notes: string[] = [];
  const { batch_size } = parsePretrainOptions(
    { 'data-path': 'x', 'batch-size': '8', pin_mem: true, world_size: '1' },
    undefined,
    (n) => notes.push(n),
  );
  assert.is(batch_size, 8);
  assert.is(notes.length, 2);
  assert.match(notes[0], '--pin_mem is not used');
  assert.match(refusal({ data_path: 'x', world_size: '8' }), /--world_size must be 1.*got 8/);
});

test('every flag of main_finetune.py and main_linprobe.py is taken, or refused with a word on what to do', () => {
  const common =
    'batch_size epochs accum_iter model weight_decay lr blr min_lr warmup_epochs finetune global_pool cls_token data_path nb_classes output_dir log_dir device seed resume start_epoch eval dist_eval num_workers pin_mem no_pin_mem world_size local_rank dist_on_itp dist_url';
  const finetune =
    'input_size drop_path clip_grad layer_decay color_jitter aa smoothing reprob remode recount resplit mixup cutmix cutmix_minmax mixup_prob mixup_switch_prob mixup_mode';
  for (const [define, names] of [
    [defineFinetune, `${common} ${finetune}`],
    [defineLinprobe, common],
  ] as const) {
    const command = new Command();
    define(command);
    const known = command.options.map((option) => option.long?.slice(2));
    for (const name of names.split(' ')) assert.ok(known.includes(name), name);
  }
  assert.throws(
    () => parseFinetuneOptions({ data_path: 'x', finetune: 'c', cutmix_minmax: ['0.2', '0.8'] }),
    /--cutmix_minmax cannot be had: .* give --cutmix in its place/,
  );
});

test("main_linprobe.py's words in those of tesserae linprobe", () => {
  const notes: string[] = [];
  const read = (flags: Flags, named?: string) => ours(named, flags, 512, (line) => notes.push(line));
  const { path, flags } = read({
    ...{ finetune: 'a.safetensors', cls_token: true, lr: '0.4,0.8', batch_size: '1024', data_path: 'x', resume: '' },
    ...{ model: 'vit_base_patch16', weight_decay: '0.0', accum_iter: '1', device: 'cuda', epochs: '90' },
  });
  assert.is(path, 'a.safetensors');
  assert.equal(flags, { batch_size: '1024', data_path: 'x', epochs: '90', blr: '0.1,0.2', features: 'cls' });
  assert.equal(
    notes.map((line) => line.split(' ')[0]),
    ['--model', '--weight_decay', '--accum_iter', '--device'],
  );
  assert.is(read({ lr: '0.4' }, 'a').flags.blr, '0.2');
  for (const [given, named, pattern] of [
    [{}, undefined, /the checkpoint is missing/],
    [{ finetune: 'b' }, 'a', /--finetune b: a is named already/],
    [{ weight_decay: '0.1' }, 'a', /--weight_decay must be 0: .*got 0\.1/],
    [{ accum_iter: '4' }, 'a', /--accum_iter must be 1: .*--batch_size/],
    [{ eval: true }, 'a', /--eval cannot be had: tesserae eval/],
    [{ lr: '1', blr: '1' }, 'a', /--lr and --blr say the same/],
    [{ lr: 'x' }, 'a', /--lr must be a number above 0/],
    [{ global_pool: true, features: 'cls' }, 'a', /--features says what the head sees/],
  ] as const)
    assert.throws(() => read(given, named), pattern);
});

test('a part of something that was given in per cent is answered with the part', () => {
  assert.match(refusal({ data_path: 'x', mask_ratio: '75' }), /below 1, got 75; did you mean 0\.75\?$/);
  assert.match(refusal({ data_path: 'x', val_fraction: 10 }), /got 10; did you mean 0\.1\?$/);
  assert.match(refusal({ data_path: 'x', mask_ratio: '1' }), /got 1$/);
  assert.match(refusal({ data_path: 'x', mask_ratio: 'half' }), /got half$/);
});

test('settings that hardly mean what they do are told, and those of recipes are not', () => {
  const doubts = (flags: Flags) => {
    const notes: string[] = [];
    parsePretrainOptions({ data_path: 'x', ...flags }, undefined, (line) => notes.push(line));
    return notes.join('\n');
  };
  assert.is(doubts({}), '');
  assert.is(doubts({ lr: '0.02' }), '');
  assert.match(doubts({ lr: '0.05' }), /^the learning rate 0\.05 is more than AdamW bears as a rule: lower --lr/);
  assert.match(doubts({ blr: '1', batch_size: '32' }), /rate 0\.125 \(--blr x batch \/ 256\) is more .*lower --blr/);
  assert.is(doubts({ lr: '0.5', opt: 'sgd' }), '');
  assert.match(doubts({ blr: '1e-6' }), /^at the learning rate 2\.5e-7 .* hardly anything will change: raise --blr/);
  assert.match(doubts({ epochs: '20' }), /^--warmup_epochs 40 passes --epochs 20: the learning rate will only rise$/);
  const notes: string[] = [];
  const tuned = { data_path: 'x', finetune: 'c', lr: '1', epochs: '2' };
  parseFinetuneOptions(tuned, undefined, (line) => notes.push(line));
  assert.is(notes.length, 2, notes.join('\n'));
  const updates = (images: number, batch_size: number) =>
    new Updates({ images, batch_size, accum_iter: 1, drop_last: false });
  assert.equal(amountDoubts({ epochs: 100 }, updates(1000, 100)), []);
  assert.equal(amountDoubts({ epochs: 10 }, updates(173, 32)), [
    '60 updates in all are few to learn from: raise --epochs, or lower --batch_size',
  ]);
  assert.equal(amountDoubts({ epochs: 10, max_steps: 3 }, updates(173, 32)), []);
  const [small] = amountDoubts({ epochs: 1000 }, updates(100, 256));
  assert.is(small, 'the learning rate is that of 256 images an update, but there are 100: lower --batch_size');
  assert.equal(amountDoubts({ epochs: 1000, lr: 1e-3 }, updates(100, 256)), []);
});

test('a file gives numbers, flags beat it, defaults fill the rest', () => {
  const path = file('data_path: photos\nbatch-size: 16\nblr: 1.5e-4\nnorm_pix_loss: true\ninput_size: [64, 96]\n');
  const options = parsePretrainOptions({ batch_size: '32', accum_iter: '4' }, path);
  assert.equal(
    [options.data_path, options.batch_size, options.blr, options.norm_pix_loss],
    ['photos', 32, 1.5e-4, true],
  );
  assert.equal(modelConfig(options).img_size, [64, 96]);
  assert.is(peakRate(options), (1.5e-4 * 32 * 4) / 256);
  assert.is(peakRate(parsePretrainOptions({ lr: '3e-4' }, path)), 3e-4);
  assert.is(parsePretrainOptions({ no_norm_pix_loss: true }, path).norm_pix_loss, false);
  assert.is(parsePretrainOptions({ 'no-norm-pix-loss': true }, path).norm_pix_loss, false);
});

test('sizes: N, HxW, and single sizes over a preset', () => {
  const config = (flags: Record<string, unknown>) => modelConfig(parsePretrainOptions({ data_path: 'x', ...flags }));
  assert.equal(config({ input_size: '192' }).img_size, [192, 192]);
  assert.equal(config({ input_size: '32x48', patch_size: '8' }).img_size, [32, 48]);
  const { depth, decoder_embed_dim, embed_dim } = config({ depth: 3, decoder_embed_dim: '128' });
  assert.equal([depth, decoder_embed_dim, embed_dim], [3, 128, 1024]);
});

test('held-out images: 2,000 of cifar10, else none unless asked', () => {
  const heldout = (flags: Record<string, unknown>) => parsePretrainOptions(flags).heldout;
  assert.equal([heldout({ data_path: 'cifar10' }), heldout({ data_path: 'x' })], [2000, 0]);
  assert.equal([heldout({ data_path: 'cifar10', heldout: '0' }), heldout({ data_path: 'x', heldout: 7 })], [0, 7]);
});

for (const [flags, said] of [
  [{}, /^--data_path is missing/],
  [{ batch_size: '0' }, '--batch_size must be a whole number of at least 1 and at most 1048576, got 0'],
  [{ batch_size: '2.5' }, /got 2.5$/],
  [{ epochs: 'many' }, '--epochs must be a whole number of at least 1, got many'],
  [{ mask_ratio: '1' }, '--mask_ratio must be a number above 0 and below 1, got 1'],
  [{ mask_ratio: '0.999' }, /keeps none of 196 patches/],
  [{ blr: '-1' }, /--blr must be a number above 0, within f32, got -1/],
  [{ blr: '0x10' }, /--blr must be a number/],
  [{ input_size: '32x' }, /--input_size must be a side in pixels/],
  [{ input_size: '100' }, /patch_size 16 must divide the image, 100 x 100/],
  [{ model: 'vit' }, /--model must be one of mae_vit_base_patch16,.* got vit$/],
  [{ min_lr: '1' }, /--min_lr 1 must not pass the learning rate 0.00025/],
  [{ bathc_size: '1' }, '--bathc_size is not known; did you mean --batch_size?'],
  [{ batch_size: '1', 'batch-size': '2' }, /given twice/],
  [{ norm_pix_loss: true, no_norm_pix_loss: true }, /--norm_pix_loss is given twice/],
  [{ no_epochs: true }, '--no_epochs is not known'],
  [{ norm_pix_loss: 'yes' }, /--norm_pix_loss must be true or false, got yes/],
] as const) {
  test(`refused: ${JSON.stringify(flags)}`, () => {
    const message = refusal(Object.keys(flags).length ? { data_path: 'x', ...flags } : {});
    assert.ok(typeof said === 'string' ? message.includes(said) : said.test(message), message);
    assert.not.match(message, '\n');
  });
}

for (const [text, said] of [
  ['epoch: 3', /the key epoch is not known; did you mean epochs\?/],
  ['batch_size: [8', /at line 2/],
  ['- 1', /must hold lines of the form key: value/],
  ['epochs: 1.5', /epochs must be a whole number of at least 1, got 1.5/],
  ['modle:\n  depth: 3', /there is no section modle; did you mean model\?/],
  ['model:\n  depht: 3', /the key depht is not known; did you mean depth\?/],
  ['model:\n  depth: 3\nschedule:\n  depth: 3', /depth is given twice, in two sections/],
  ['epochs: 1\nepochs: 2', /unique|twice|Map keys/],
] as const) {
  test(`refused in a file: ${JSON.stringify(text)}`, () => {
    const path = file(`${text}\n`);
    const message = refusal({ data_path: 'x' }, path);
    assert.match(message, said);
    assert.ok(message.startsWith(`--config ${path}`) && !message.includes('\n'), message);
  });
}

test('a file that is not there is named; an empty one is nothing', () => {
  assert.match(
    refusal({ data_path: 'x' }, join(folder, 'no.yaml')),
    /no\.yaml: No such file or directory: name a YAML file/,
  );
  assert.is(parsePretrainOptions({ data_path: 'x' }, file('# nothing\n')).epochs, 400);
});

test('a path within a command that can be pasted is quoted where the shell would take it apart', () => {
  for (const path of ['runs/a-b_1.safetensors', '/tmp/ümlaut/é', 'C:/x']) assert.is(pasted(path), path);
  assert.is(pasted('my photos'), "'my photos'");
  assert.is(pasted("it's $HOME"), "'it'\\''s $HOME'");
  assert.is(pasted(''), "''");
});

test.run();
