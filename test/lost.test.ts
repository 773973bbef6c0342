// A device that is lost in the middle of training costs no bit: every promise settles, nothing is made up, and the weights and logs at the end
// are those of a run that nothing happened to. A few random points here; `npm run test:lost` tries fifty.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { DeviceLostError, TesseraeError } from '../engine/errors.ts';
import { random } from '../kernels/random/random.ts';
import { finetune } from '../mae/finetune/finetune.ts';
import { parseFinetuneOptions } from '../mae/finetune/options.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { type Reporter, silent } from '../mae/train/reporter.ts';
import { fakeCifar, hashOf } from './support/kill-resume.ts';
import { Losing } from './support/losing.ts';
import { saveModel } from './support/saved.ts';

const losses = Number(process.env.LOSSES ?? 4);
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
console.log(`SEED=${seed}`);
/** The bar of WebGPU's own conformance tests. */
const SETTLED_MS = 2000;

const home = mkdtempSync(join(tmpdir(), 'tesserae-lost-'));
const at = (name: string): string => join(home, name);
test.before(async () => {
  fakeCifar(at('data'), seed);
  await saveModel(at('encoder.safetensors'));
});
test.after(() => rmSync(home, { recursive: true, force: true }));

type Job = (engine: Engine, output_dir: string, report: Reporter, resume?: string) => Promise<unknown>;
const SHORT = { epochs: 2, warmup_epochs: 0.5, accum_iter: 2, save_steps: 3, dropout: 0.1, clip_grad: 1, seed: 1 };
/** Short runs with all that a step can hold. */
const JOBS: Record<string, { run: Job; rounds: number }> = {
  pretraining: {
    rounds: losses - Math.ceil(losses / 4),
    run: (engine, output_dir, report, resume = '') => {
      const sizes = { model: 'mae_vit_nano_patch4_32', embed_dim: 48, depth: 1, decoder_depth: 1 };
      const flags = { ...SHORT, ...sizes, data_path: at('data'), output_dir, resume, batch_size: 16, heldout: 8 };
      return pretrain(engine, parsePretrainOptions(flags), report);
    },
  },
  'fine-tuning': {
    rounds: Math.ceil(losses / 4),
    run: (engine, output_dir, report, resume = '') => {
      const everything = { augment: 'strong', drop_path: 0.3, ema: 0.9, save_freq: 0 };
      const from = { data_path: at('data'), finetune: at('encoder.safetensors'), train_images: 48, batch_size: 4 };
      return finetune(engine, parseFinetuneOptions({ ...SHORT, ...everything, ...from, output_dir, resume }), report);
    },
  },
};

interface End {
  readonly tensors: string;
  readonly log: string;
  readonly metrics: unknown[];
  readonly notes: readonly string[];
}

function endOf(folder: string, notes: readonly string[]): End {
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const metrics = lines.map((line) => ({ ...JSON.parse(line), images_per_s: 0, gpu_bytes: 0 })); // of the process
  const log = readFileSync(join(folder, 'log.txt'), 'utf8');
  return { tensors: hashOf(join(folder, 'checkpoint.safetensors')), log, metrics, notes };
}

async function train(job: Job, losing: Losing, name: string, resume?: string): Promise<End> {
  const device = await losing.open();
  const engine = new Engine(device);
  const notes: string[] = [];
  try {
    await job(engine, at(name), { ...silent, note: (line) => notes.push(line) }, resume);
  } finally {
    engine.dispose();
    device.gpu.destroy();
  }
  return endOf(at(name), notes);
}

for (const [what, { run, rounds }] of Object.entries(JOBS)) {
  let whole: End;
  let calls = 0;

  test(`${what} without accidents`, async () => {
    const losing = new Losing();
    whole = await train(run, losing, `${what} whole`);
    calls = losing.calls;
    assert.is(losing.pending.size, 0);
    assert.ok(calls > 100);
  });

  for (let i = 0; i < rounds; i++) {
    test(`${what}, the device lost at a random point (${i + 1} of ${rounds})`, async () => {
      // Many of the calls build the first step: every other point lies among the later ones.
      const point = i % 2 ? 1 + rng.below(calls) : calls - rng.below(Math.floor(calls / 3));
      const losing = new Losing((call) => call === point);
      const end = await train(run, losing, `${what} lost ${i}`);
      const told = end.notes.filter((line) => /opened again in .* going on from/.test(line));
      console.log(`${what}, before call ${point} of ${calls}: ${told}`);
      assert.is(losing.lost, 1);
      assert.is(losing.pending.size, 0, 'a promise never settled');
      assert.ok(losing.slowest < SETTLED_MS, `a promise took ${losing.slowest.toFixed(0)} ms to settle`);
      assert.is(told.length, 1, end.notes.join('\n'));
      assert.is(end.tensors, whole.tensors, 'weights, moments, step');
      assert.is(end.log, whole.log);
      assert.equal(end.metrics, whole.metrics);
    });
  }

  if (what === 'pretraining')
    test('every device lost from some point on: it ends, has saved, and can be resumed', async () => {
      const from = Math.floor(0.6 * calls);
      const losing = new Losing((call) => call >= from);
      const error = await train(run, losing, 'again').catch((e: Error) => e);
      assert.instance(error, DeviceLostError);
      assert.instance(error, TesseraeError);
      assert.match((error as Error).message, /^pretrain: .*3 times.*step \d+.*--resume auto.*batch_size/);
      assert.is(losing.lost, 3);
      assert.is(losing.pending.size, 0);
      const end = await train(run, new Losing(), 'again', 'auto');
      assert.is(end.tensors, whole.tensors);
      assert.is(end.log, whole.log);
    });
}

test.run();
