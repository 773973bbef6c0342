// What fine-tuning is told and what it begins with: the reference's flags and defaults, bundles of augmentation, validation splits,
// what counts as right, and files of classifiers. No GPU.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeFileAtomic } from '../../engine/node/files.ts';
import { rawTensor } from '../../engine/rawtensor.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { random } from '../../kernels/random/random.ts';
import { AUGMENTATIONS } from '../../mae/data/augmentation.ts';
import { type Dataset, evenly } from '../../mae/data/dataset.ts';
import { Tally } from '../../mae/evaluate/metrics.ts';
import { labelledData } from '../../mae/evaluate/open.ts';
import { loadClassifier, saveClassifier } from '../../mae/finetune/checkpoint.ts';
import { augmentationOf, finetuneRate, parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { type ClassifierConfig, classifierSpecs, classifierWeights } from '../../mae/model/classifier.ts';
import { configure, parameterSpecs } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { sinCosPositions } from '../../mae/model/posembed.ts';
import { loadCheckpoint } from '../../mae/train/checkpoint.ts';
import { UsageError } from '../../mae/usage.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-finetune-'));
const at = (name: string): string => join(folder, name);
test.after(() => rmSync(folder, { recursive: true, force: true }));
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);

const GIVEN = { data_path: 'x', finetune: 'c' };
const refusal = (flags: Record<string, unknown>): string => {
  try {
    parseFinetuneOptions(flags);
  } catch (error) {
    assert.instance(error, UsageError);
    return (error as Error).message;
  }
  return assert.unreachable(`accepted ${JSON.stringify(flags)}`) as never;
};

const RAND = { aa: 'rand-m9-mstd0.5-inc1', color_jitter: 0 };

test("main_finetune.py's defaults, and its published command as it is", () => {
  const options = parseFinetuneOptions(GIVEN);
  const { batch_size, epochs, accum_iter, drop_path, clip_grad, weight_decay, layer_decay } = options;
  assert.equal([batch_size, epochs, accum_iter, drop_path, clip_grad], [64, 50, 1, 0.1, undefined]);
  assert.equal([weight_decay, layer_decay, options.min_lr, options.warmup_epochs], [0.05, 0.75, 1e-6, 5]);
  assert.is(finetuneRate(options), (1e-3 * 64) / 256);
  const notes: string[] = [];
  const theirs =
    'accum_iter=4 batch_size=32 model=vit_base_patch16 finetune=c epochs=100 blr=5e-4 layer_decay=0.65 weight_decay=0.05 drop_path=0.1 mixup=0.8 cutmix=1.0 reprob=0.25 remode=pixel recount=1 mixup_prob=1.0 mixup_switch_prob=0.5 mixup_mode=batch nb_classes=1000 data_path=x';
  const flags = Object.fromEntries(theirs.split(' ').map((pair) => pair.split('=')));
  const pasted = parseFinetuneOptions({ ...flags, dist_eval: true, global_pool: true }, undefined, (n) =>
    notes.push(n),
  );
  assert.is(notes.length, 9, notes.join('\n'));
  assert.is(pasted.model, undefined);
  assert.is(finetuneRate(pasted), (5e-4 * 128) / 256);
  assert.equal(augmentationOf(pasted), {
    crop_scale: 0.08,
    reprob: 0.25,
    mixup: 0.8,
    cutmix: 1,
    smoothing: 0.1,
    ...RAND,
  });
  assert.is(parseFinetuneOptions({ data_path: 'x', model: 'vit_huge_patch14' }).model, 'mae_vit_huge_patch14');
});

test('a bundle, and flags that beat it', () => {
  const of = (flags: Record<string, unknown>) => augmentationOf(parseFinetuneOptions({ ...GIVEN, ...flags }));
  for (const [name, bundle] of Object.entries(AUGMENTATIONS)) assert.equal(of({ augment: name }), bundle);
  const changed = { augment: 'strong', mixup: '0', smoothing: '0', crop_scale: '0.5' };
  assert.equal(of(changed), { crop_scale: 0.5, reprob: 0.25, mixup: 0, cutmix: 1, smoothing: 0, ...RAND });
});

test('a file in sections', () => {
  writeFileSync(
    at('run.yaml'),
    'model:\n  finetune: c\n  drop_path: 0.2\ndata: {data_path: x}\noptim:\n  opt: sgd\nschedule: {sched: step}\noutput:\n  save-freq: 0\nseed: 3\nstudy: {}\n',
  );
  const options = parseFinetuneOptions({ drop_path: '0.3' }, at('run.yaml'));
  const { finetune, data_path, drop_path, opt, sched, save_freq } = options;
  assert.equal(
    [finetune, data_path, drop_path, opt, sched, save_freq, options.seed],
    ['c', 'x', 0.3, 'sgd', 'step', 0, 3],
  );
});

for (const [flags, said] of [
  [{ finetune: 'c' }, /^--data_path is missing/],
  [{ data_path: 'x' }, /^--finetune CHECKPOINT is missing; or --model NAME/],
  [{ ...GIVEN, model: 'mae_vit_nano_patch4_32' }, /--model .* leave it out beside --finetune/],
  [{ ...GIVEN, augment: 'strnog' }, /--augment must be one of none, light, medium, strong, got strnog/],
  [{ ...GIVEN, augment: 'strong', batch_size: '7' }, /--batch_size must be even with mixup or cutmix, got 7/],
  [{ ...GIVEN, layer_deacy: '1' }, /did you mean --layer_decay\?/],
  [{ ...GIVEN, min_lr: '1' }, /--min_lr 1 must not pass the learning rate 0\.00025/],
  [{ ...GIVEN, ema: '1' }, /--ema must be a number above 0 and below 1, got 1/],
  [{ ...GIVEN, mixup_mode: 'elem' }, /--mixup_mode must be batch: a batch is mixed by one draw, got elem/],
  [{ ...GIVEN, recount: '2' }, /--recount must be 1/],
  [{ ...GIVEN, world_size: '8' }, /--world_size must be 1: one process trains on one device, got 8/],
] as const) {
  test(`refused: ${JSON.stringify(flags)}`, () => assert.match(refusal(flags), said));
}

test(`top-1, top-5, loss and confusion are those of sorting and of softmax, however they come in (seed ${seed})`, () => {
  const [n, K] = [40, 8];
  const logits = Float32Array.from({ length: n * K }, () => 3 * rng.normal());
  const labels = Int32Array.from({ length: n }, (_, i) => (i % 9 === 8 ? -1 : rng.below(K)));
  const tally = new Tally(K);
  for (const [from, to] of [
    [0, 13],
    [13, 14],
    [14, n],
  ])
    tally.add(logits.subarray(from * K, to * K), labels.subarray(from, to));
  let [one, five, loss, images] = [0, 0, 0, 0];
  const confusion = Array.from({ length: K }, () => new Int32Array(K));
  for (let i = 0; i < n; i++) {
    if (labels[i] < 0) continue;
    const row = [...logits.subarray(i * K, (i + 1) * K)];
    const order = row.map((_, k) => k).sort((a, b) => row[b] - row[a]);
    images++;
    one += Number(order[0] === labels[i]);
    five += Number(order.slice(0, 5).includes(labels[i]));
    loss -= Math.log(Math.exp(row[labels[i]]) / row.reduce((sum, z) => sum + Math.exp(z), 0));
    confusion[labels[i]][order[0]]++;
  }
  const { metrics } = tally;
  assert.equal([metrics.images, metrics.top1, metrics.top5], [images, (100 * one) / images, (100 * five) / images]);
  assert.ok(Math.abs(metrics.loss - loss / images) < 1e-9);
  assert.equal(metrics.confusion, confusion);
});

test('a folder without val/ keeps every tenth image back; so many images are taken evenly', async () => {
  for (const name of ['a', 'b']) {
    mkdirSync(at(`set/${name}`), { recursive: true });
    for (let i = 0; i < 20; i++) writeFileSync(at(`set/${name}/${String(i).padStart(2, '0')}.png`), '');
  }
  const { train, val, classes } = await labelledData(at('set'));
  assert.equal([train.length, val.length, classes], [36, 4, ['a', 'b']]);
  const all: Dataset = { ...train, length: 10, read: async (i) => ({ label: i }) as never };
  const some = evenly(all, 4);
  assert.equal(await Promise.all([0, 1, 2, 3].map(async (i) => (await some.read(i)).label)), [0, 2, 5, 7]);
  mkdirSync(at('set/val/a'), { recursive: true });
  writeFileSync(at('set/val/a/0.png'), '');
  mkdirSync(at('set/train/a'), { recursive: true });
  mkdirSync(at('set/train/b'), { recursive: true });
  for (const name of ['a', 'b']) writeFileSync(at(`set/train/${name}/0.png`), '');
  const message = await labelledData(at('set')).catch((error: Error) => error.message);
  assert.match(String(message), /^val of .* has 1 classes, train of .* 2: both must have the same folders/);
});

const mae = configure('mae_vit_nano_patch4_32', { embed_dim: 8, depth: 1, num_heads: 1, decoder_depth: 1 });
const { patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, dropout, img_size } = mae;
const sizes = { patch_size, in_chans, embed_dim, depth, num_heads, mlp_ratio, ln_eps, dropout, img_size };
const config: ClassifierConfig = { ...sizes, nb_classes: 3, pool: 'gap', drop_path: 0.1 };

test(`a classifier's file gives back what was put in, with averages and any optimizer (seed ${seed})`, async () => {
  const numbers = () =>
    new Map(
      classifierSpecs(config).map(({ name, shape }) => [
        name,
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
      ]),
    );
  const data = { name: 'x', mean: [0, 0, 0], std: [1, 1, 1], classes: ['a', 'b', 'c'] };
  for (const [name, slots] of [
    ['adamw', ['m', 'v']],
    ['sgd', ['momentum']],
    ['lars', ['momentum']],
  ] as const) {
    const optimizer = {
      name,
      slots: Object.fromEntries(slots.map((slot) => [slot, numbers()])),
      step: 4,
      lossScale: null,
    };
    const training = {
      recipe: { precision: 'f32', drop_last: false },
      images: 9,
      epoch: 1,
      step: 2,
      lossSum: 1,
      logs: {},
      adapter: '',
      picks: {},
    };
    const put = { config, weights: numbers(), averages: name === 'sgd' ? null : numbers(), data, optimizer, training };
    await saveClassifier(at(`${name}.safetensors`), put);
    assert.equal(await loadClassifier(at(`${name}.safetensors`), { training: true }), put);
    assert.is((await loadClassifier(at(`${name}.safetensors`))).optimizer, null);
  }
  const message = await loadCheckpoint(at('sgd.safetensors')).catch((error: Error) => error.message);
  assert.match(
    String(message),
    /sgd\.safetensors holds a classifier: eval, classify, attention, onnx and finetune --resume take it/,
  );
});

test('a checkpoint of before there were tasks and other optimizers loads as it was', async () => {
  const weights = initialWeights(mae, 1);
  const specs = parameterSpecs(mae);
  const tensors = specs.flatMap(({ name, shape }, i) =>
    ['', 'adamw.m.', 'adamw.v.'].map((prefix, k) => {
      const values = weights.get(name) as Float32Array;
      return [prefix + name, rawTensor('F32', shape, prefix ? values.map(() => i + k) : values)] as const;
    }),
  );
  const step = ['adamw.step', rawTensor('U32', [1], Uint32Array.of(5))] as const;
  const { dropout: _, ...before } = mae;
  const metadata = {
    format: 'pt',
    tesserae: '1',
    config: JSON.stringify({ ...before, dropout: 0 }),
    data: JSON.stringify({ name: 'x', mean: [0, 0, 0], std: [1, 1, 1], classes: null }),
    mask_ratio: '0.75',
    training: JSON.stringify({ recipe: {}, images: 9, epoch: 0, step: 1, lossSum: 1, logs: {}, adapter: '' }),
  };
  await writeFileAtomic(at('old.safetensors'), writeSafetensors([...tensors, step], metadata));
  const { optimizer, training, weights: read } = await loadCheckpoint(at('old.safetensors'), { training: true });
  assert.equal([optimizer?.name, optimizer?.step, optimizer?.lossScale], ['adamw', 5, null]);
  assert.equal(Object.keys(optimizer?.slots ?? {}), ['m', 'v']);
  assert.is(optimizer?.slots.v.get(specs[3].name)?.[0], 5);
  assert.is(training?.recipe.precision, 'f32');
  assert.equal(read, weights);
  const message = await loadClassifier(at('old.safetensors')).catch((error: Error) => error.message);
  assert.match(
    String(message),
    /old\.safetensors holds a masked autoencoder: reconstruct, attention, linprobe, knn, features, finetune/,
  );
});

test('weights to begin with: the encoder is taken over, norm and head are fresh', () => {
  const weights = initialWeights(mae, 1);
  for (const pool of ['gap', 'cls'] as const) {
    const taken = classifierWeights({ ...config, pool }, { config: mae, weights }, { seed: 2 });
    assert.equal(
      [...taken.keys()],
      classifierSpecs({ ...config, pool }).map(({ name }) => name),
    );
    for (const [name, values] of taken)
      if (!/^(head|fc_norm)/.test(name)) assert.equal(values, weights.get(name), name);
    assert.is(taken.has('fc_norm.weight'), pool === 'gap');
    assert.ok((taken.get('head.weight') as Float32Array).every((x) => Math.abs(x) < 2e-4));
    assert.ok((taken.get('head.bias') as Float32Array).every((x) => x === 0));
  }
  const larger = { ...config, img_size: [48, 40] as const };
  const moved = classifierWeights(larger, { config: mae, weights }, { seed: 2 }).get('pos_embed');
  assert.equal(moved, sinCosPositions(8, [12, 10]), 'positions of another grid are those of pretraining there');
  const learned = { ...mae, pos_embed: 'learned' as const };
  const own = new Map([...weights, ['pos_embed', Float32Array.from({ length: 65 * 8 }, (_, i) => i % 8)]]);
  const grown = classifierWeights({ ...larger, pos_embed: 'learned' }, { config: learned, weights: own }, { seed: 2 });
  assert.ok(
    grown.get('pos_embed')?.every((x, i) => Math.abs(x - (i % 8)) < 1e-5),
    'learned ones are interpolated',
  );
  const message = (() => {
    try {
      classifierWeights({ ...config, embed_dim: 12 }, { config: mae, weights }, { seed: 2 });
    } catch (error) {
      return (error as Error).message;
    }
    return 'no error';
  })();
  assert.match(message, /sizes must be equal|positions/);
});

test.run();
