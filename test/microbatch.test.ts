// A run whose passes are cut because memory is short: the losses and weights of the whole passes; and a resume keeps the cut.
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
import { fakeCifar, hashOf } from './support/kill-resume.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
console.log(`SEED=${seed}`);
const root = mkdtempSync(join(tmpdir(), 'tesserae-microbatch-'));
test.after(() => rmSync(root, { recursive: true, force: true }));
const data = join(root, 'data');
fakeCifar(data, seed);
const device = await openDawn({ profile: 'simt', raiseLimits: false });

const FLAGS = {
  data_path: data,
  embed_dim: 24,
  depth: 1,
  num_heads: 1,
  decoder_embed_dim: 16,
  decoder_depth: 1,
  decoder_num_heads: 1,
  model: 'mae_vit_nano_patch4_32',
  epochs: 2,
  warmup_epochs: 0.5,
  heldout: 16,
  save_freq: 0,
  seed,
};

/** Trains into a folder of this name; gives its notes and what it left. */
async function train(name: string, more: Record<string, unknown>) {
  const output_dir = join(root, name);
  const notes: string[] = [];
  const options = parsePretrainOptions({ ...FLAGS, output_dir, ...more });
  using engine = new Engine(device, { precision: options.precision as 'f32' | undefined });
  await pretrain(engine, options, { ...silent, note: (line) => notes.push(line) });
  const lines = (file: string): Record<string, number>[] =>
    readFileSync(join(output_dir, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const { weights, training } = await loadCheckpoint(join(output_dir, 'checkpoint.safetensors'));
  return {
    output_dir,
    notes: notes.join('\n'),
    log: lines('log.txt'),
    metrics: lines('metrics.jsonl'),
    weights,
    training,
  };
}
type Trained = Awaited<ReturnType<typeof train>>;

/** Losses and weights of two runs within `tolerance` of one another, learning rates exactly. */
function same(a: Trained, b: Trained, tolerance: number): void {
  const near = (x: number, y: number, what: string): void =>
    assert.ok(Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(x)), `${what}: ${x} and ${y}`);
  assert.is(a.metrics.length, b.metrics.length);
  a.metrics.forEach((line, i) => {
    const other = b.metrics[i];
    assert.equal([other.step, other.epoch, other.lr], [line.step, line.epoch, line.lr]);
    for (const name of ['loss', 'heldout_loss']) if (name in line) near(line[name], other[name], `${name} of ${i}`);
  });
  for (const [i, { train_loss }] of a.log.entries()) near(train_loss, b.log[i].train_loss, `train_loss of epoch ${i}`);
  for (const [name, values] of a.weights) {
    const others = b.weights.get(name) as Float32Array;
    for (const [i, x] of values.entries()) near(x, others[i], `${name}[${i}]`);
  }
}

// 144 images: an update of 2 passes of 28 twice an epoch, and one of 32, which is a pass and 4 images.
const PASSES = { batch_size: 28, accum_iter: 2 };

test('passes that memory cuts give the losses and weights of whole ones', async () => {
  for (const more of [
    { opt: 'sgd', blr: 0.1 },
    { mask: 'block', norm_pix_loss: true, clip_grad: 0.5, blr: 1e-4 },
  ]) {
    const whole = await train('whole', { ...PASSES, ...more, overwrite: true });
    const cut = await train('cut', { ...PASSES, ...more, memory: '2.5MiB', overwrite: true });
    assert.not.match(whole.notes, /micro-batches/);
    assert.match(
      cut.notes,
      /memory: a pass of 28 images is computed as \d+ micro-batches of \d+, whose gradients are averaged .* of 2\.50 MiB \(--memory\)/,
    );
    assert.ok((cut.training?.micro_batch ?? 99) < 28);
    assert.match(cut.notes, /2 steps of 56 an epoch and one of 32/);
    same(whole, cut, 1e-5);
  }
});

test('a run that goes on keeps its cut, and with it every bit', async () => {
  const flags = { ...PASSES, memory: '3.5MiB' };
  const straight = await train('straight', flags);
  const begun = await train('begun', { ...flags, max_steps: 4 });
  cpSync(begun.output_dir, join(root, 'moved'), { recursive: true });
  // Memory is plenty now: the cut stays, as the run's bits are to be the same.
  const resumed = await train('begun', { ...PASSES, resume: 'auto' });
  assert.match(resumed.notes, /micro-batches of 14, .*: as when the run began/);
  assert.is(resumed.training?.micro_batch, straight.training?.micro_batch);
  assert.is(
    hashOf(join(resumed.output_dir, 'checkpoint.safetensors')),
    hashOf(join(straight.output_dir, 'checkpoint.safetensors')),
  );
  assert.equal(resumed.log, straight.log);
  // Memory is shorter than it was: it goes on, and says what that costs.
  const elsewhere = await train('moved', { ...PASSES, memory: '2MiB', resume: 'auto' });
  assert.match(elsewhere.notes, /resume: its passes are cut otherwise than before: results will not be bit-identical/);
  same(straight, elsewhere, 1e-4);
});

test('where not even one image has room, the run says so before it begins', async () => {
  await train('none', { ...PASSES, memory: '300KiB' }).then(
    () => assert.unreachable('it trained'),
    (error: Error) =>
      assert.match(error.message, /^memory: not even one image has room: .* needed of 300 KiB \(--memory\)$/),
  );
});

test.run();
