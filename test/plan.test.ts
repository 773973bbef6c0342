// `tesserae plan` against what pretraining then allocates, for several models, precisions and cuts; the largest models are planned only.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { kindsOf, paceOf } from '../engine/pace.ts';
import { foresee } from '../mae/train/foresee.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { silent } from '../mae/train/reporter.ts';
import { fakeCifar } from './support/kill-resume.ts';
import { writePhotographs } from './support/photographs.ts';
import { cli } from './support/spawn-cli.ts';
import { spyOn } from './support/spy.ts';

const root = mkdtempSync(join(tmpdir(), 'tesserae-plan-'));
test.after(() => rmSync(root, { recursive: true, force: true }));
fakeCifar(join(root, 'data'), 7);

const FLAGS = {
  data_path: join(root, 'data'),
  model: 'mae_vit_nano_patch4_32',
  train_images: 60,
  heldout: 20,
  epochs: 1,
  warmup_epochs: 0,
  save_freq: 0,
  overwrite: true,
};
const RUNS: Record<string, Record<string, unknown>> = {
  'nano in f32, an update left over': { batch_size: 24 },
  'nano in f16, blocks computed again, two passes a step': {
    batch_size: 12,
    accum_iter: 2,
    precision: 'f16',
    checkpoint_blocks: true,
    clip_grad: 1,
  },
  'nano cut by memory, masks of the host': { batch_size: 30, memory: '14MiB', mask: 'block', depth: 2 },
  'another shape, by SGD, no look at held-out images': {
    ...{ batch_size: 20, heldout: 0, opt: 'sgd', objective: 'simmim', input_size: '24x40', patch_size: 8 },
    ...{ embed_dim: 48, num_heads: 4, depth: 3 },
  },
};

for (const [name, more] of Object.entries(RUNS)) {
  test(`${name}: memory is foretold within 5 %`, async () => {
    const options = parsePretrainOptions({ ...FLAGS, output_dir: join(root, 'run'), ...more });
    using device = await openDawn({ profile: 'simt', raiseLimits: false });
    const spy = spyOn(device.gpu);
    using planner = new Engine(device, { precision: options.precision as 'f16' | undefined, planOnly: true });
    const { room, micro, parts } = await foresee(planner, options);
    assert.is(spy.made.createBuffer, 0, 'a plan made buffers');
    assert.is(
      Object.values(parts).reduce((a, b) => a + b),
      room.peak,
    );
    using engine = new Engine(device, { precision: options.precision as 'f16' | undefined });
    await pretrain(engine, options, silent);
    const off = room.peak / spy.peak - 1;
    console.log(`${name}: ${room.peak} bytes foretold, ${spy.peak} taken, ${(100 * off).toFixed(2)} %`);
    assert.ok(Math.abs(off) < 0.05, `${room.peak} foretold, ${spy.peak} taken`);
    if (options.memory) assert.ok(micro.length > 1 && spy.peak <= options.memory, `${micro}, ${spy.peak} taken`);
  });
}

test('the largest models are planned without a buffer, and say what has room', async () => {
  using device = await openDawn({ profile: 'simt', raiseLimits: false });
  const spy = spyOn(device.gpu);
  using engine = new Engine(device, { planOnly: true });
  const peaks: number[] = [];
  for (const model of ['mae_vit_base_patch16', 'mae_vit_huge_patch14']) {
    const options = parsePretrainOptions({ data_path: 'any', model, batch_size: 256, memory: '60GiB' });
    const { room, micro, largest, lack, parts, parameters, step } = await foresee(engine, options);
    // Bindings of 128 MiB do not hold 256 images of this size.
    assert.match(String(lack), /takes \d+ bytes, this device binds 134217728 at most/);
    assert.ok(micro.length > 1 && micro.reduce((a, b) => a + b) === 256, `${micro}`);
    assert.ok(Math.max(...micro) <= largest && largest < 256, `${micro}, ${largest}`);
    // Four numbers of 4 bytes for every parameter, at least.
    assert.ok(parts.weights + parts.gradients + parts.optimizer >= 16 * parameters);
    peaks.push(room.peak);
    const kinds = kindsOf(step);
    const rates = { best: { copy: 1000, fma: 20_000, matrix: 0 }, overhead: 0.01, shares: {} };
    const atBest = paceOf(step, rates);
    const halves = Object.fromEntries(kinds.map((kind) => [kind, 0.5]));
    const { ms, floor } = paceOf(step, { ...rates, overhead: 0, shares: halves });
    assert.ok(Math.abs(ms / (2 * floor) - 1) < 1e-9 && floor === atBest.floor && atBest.ms > floor);
  }
  assert.ok(peaks[1] > 2 * peaks[0]);
  assert.is(spy.made.createBuffer, 0);
});

test("README's figures of ViT-B/16 are the plan's", async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8').replace(/\s+/g, ' ');
  const said =
    /([\d.]+) GiB in f32 and ([\d.]+) in f16; with blocks computed again ([\d.]+) in either, for (\d+) % more/;
  const [f32, f16, again, more] = said.exec(readme)?.slice(1).map(Number) ?? [];
  using device = await openDawn({ profile: 'simt' });
  const planned = async (precision: 'f32' | 'f16', checkpoint_blocks: boolean) => {
    using engine = new Engine(device, { precision, planOnly: true });
    const flags = { data_path: 'any', model: 'mae_vit_base_patch16', batch_size: 64, precision, checkpoint_blocks };
    const { room, flops } = await foresee(engine, parsePretrainOptions(flags));
    return { gib: room.peak / 2 ** 30, flops };
  };
  const whole = await planned('f32', false);
  const recomputed = await planned('f32', true);
  for (const [told, { gib }] of [
    [f32, whole],
    [f16, await planned('f16', false)],
    [again, recomputed],
    [again, await planned('f16', true)],
  ] as const)
    assert.ok(Math.abs(told - gib) < 0.06, `README says ${told} GiB, the plan ${gib}`);
  assert.is(more, Math.round(100 * (recomputed.flops / whole.flops - 1)));
});

test('the command tells it at a glance, or as JSON; nothing is measured where that is not wanted', async () => {
  const env = { TESSERAE_CACHE: join(root, 'cache') };
  const flags = ['plan', '--model', 'mae_vit_nano_patch4_32', '--batch_size', '64', '--no-measure'];
  const told = await cli(flags, env);
  assert.is(told.code, 0, told.err);
  for (const line of [
    /memory +\d+.* MiB/,
    /weights +2\.\d+ MiB/,
    /largest +\d+ images/,
    /work +\S+ GFLOP/,
    /time +not known/,
  ])
    assert.match(told.out, line);
  const json = JSON.parse((await cli([...flags, '--json', '--memory', '20MiB'], env)).out);
  assert.equal([json.fits, json.step_ms], [false, null]);
  assert.ok(json.micro_batches.length > 1 && json.memory.peak <= 20 * 2 ** 20);
  await writePhotographs(join(root, 'photos'), { train: 3 });
  const sized = await cli([...flags, '--json', '--data_path', join(root, 'photos')], env);
  const { train_images, epochs } = JSON.parse(sized.out);
  assert.equal([train_images, epochs], [30, 400]);
  const nowhere = await cli([...flags, '--data_path', join(root, 'nowhere')], env);
  assert.is(nowhere.code, 0, nowhere.err);
  assert.match(nowhere.out, /images are not counted: imagefolder: .*nowhere: No such file or directory/);
  const asJson = await cli([...flags, '--json', '--data_path', join(root, 'nowhere')], env);
  assert.is(JSON.parse(asJson.out).train_images, null);
  assert.match(asJson.err, /images are not counted: /);
  const wrong = await cli(['plan', '--memory', '8 apples'], env);
  assert.is(wrong.code, 2);
  assert.match(wrong.err, /^tesserae: --memory must be an amount of memory, as 8GiB or 500MiB, got 8 apples\n$/);
});

test.run();
