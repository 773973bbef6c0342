// What a run may be resumed with: recipes of before, the precision it computed in, settings that changed; and what a run in f16
// says of its loss scale. No GPU.
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Engine } from '../../engine/engine.ts';
import type { Precision } from '../../engine/trace.ts';
import type { KnobValues, Profile } from '../../kernels/kernel.ts';
import { configure, parameterSpecs } from '../../mae/model/config.ts';
import { saveCheckpoint } from '../../mae/train/checkpoint.ts';
import type { LossScaleState } from '../../mae/train/modelfile.ts';
import { notOffered } from '../../mae/train/introduce.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
import { notFinite, Overflows } from '../../mae/train/overflow.ts';
import { pretrain } from '../../mae/train/pretrain.ts';
import { recipeOf } from '../../mae/train/recipe.ts';
import { findResume, recipeToResume } from '../../mae/train/resume.ts';
import { silent } from '../../mae/train/reporter.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-resume-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const config = configure('mae_vit_nano_patch4_32', { embed_dim: 8, depth: 1, num_heads: 1, decoder_depth: 1 });
const numbers = new Map(
  parameterSpecs(config).map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]),
);
const path = join(folder, 'checkpoint.safetensors');
const flags = { data_path: 'x', output_dir: folder, resume: 'auto' };

const engineOf = (precision: Precision, profile: Profile = 'cpu', picks: Record<string, KnobValues> = {}) =>
  ({
    precision,
    picks: new Map(Object.entries(picks)),
    device: { adapter: { id: 'some' }, traits: { profile } },
  }) as unknown as Engine;

/** A file as a run left it that computed in `precision`, its recipe changed by `edit`. */
async function leave(
  precision: Precision,
  edit: (recipe: Record<string, unknown>) => void = () => {},
  picks: Record<string, KnobValues> = {},
): Promise<void> {
  const recipe = recipeOf(parsePretrainOptions(flags), { precision });
  edit(recipe);
  const lossScale = precision === 'f16' ? { scale: 512, good: 3, skipped: 4 } : null;
  await saveCheckpoint(path, {
    config,
    weights: numbers,
    data: { name: 'x', mean: [0, 0, 0], std: [1, 1, 1], classes: null },
    maskRatio: 0.75,
    optimizer: { name: 'adamw', slots: { m: numbers, v: numbers }, step: 5, lossScale },
    training: { recipe, images: 9, epoch: 0, step: 9, lossSum: 1, logs: {}, adapter: 'some, profile cpu', picks },
  });
}

/** Notes of a resume with these flags; the message where it is refused. */
async function resume(engine: Engine, more: Record<string, unknown> = {}): Promise<string[] | string> {
  const notes: string[] = [];
  const report = { ...silent, note: (line: string) => notes.push(line) };
  try {
    await findResume(engine, parsePretrainOptions({ ...flags, ...more }), report);
    return notes;
  } catch (error) {
    return (error as Error).message;
  }
}

const refusal = async (...resumed: Parameters<typeof resume>): Promise<string> => String(await resume(...resumed));

test('a file of before an option goes on with its default, and with nothing else', async () => {
  await leave('f32', (recipe) => {
    for (const name of ['precision', 'clip_grad', 'dropout', 'in_chans']) delete recipe[name];
  });
  assert.is((await resume(engineOf('f32'))).length, 1);
  assert.is((await resume(engineOf('f32'), { checkpoint_blocks: true })).length, 1);
  assert.match(await refusal(engineOf('f32'), { dropout: 0.5 }), /--dropout is 0\.5, .* was trained with 0;/);
  assert.match(await refusal(engineOf('f32'), { clip_grad: 2 }), /--clip_grad is 2, .* another run/);
  assert.match(await refusal(engineOf('f16')), /was trained with f32.*would go on with f16; give --precision f32/);
  assert.is((await recipeToResume('auto', folder)).precision, 'f32');
  await leave('f16', (recipe) => {
    recipe.precision = null;
    delete recipe.drop_last;
  });
  const recipe = await recipeToResume('auto', folder);
  assert.is(recipe.precision, 'f16', 'only f16 has a loss scale');
  assert.is(recipe.drop_last, true, 'leftovers were not used before there was the option');
  assert.is((await resume(engineOf('f16'), recipe)).length, 1);
});

test('the precision that a run computed in is what counts, however it was chosen', async () => {
  await leave('f32');
  assert.is((await resume(engineOf('f32'), { precision: 'f32' })).length, 1);
  assert.match(await refusal(engineOf('f16'), { precision: 'f16' }), /was trained with f32, this would go on with f16/);
  assert.match(await refusal(engineOf('f16', 'matrix')), /was trained with f32, .*; leave --profile matrix out/);
  const refused = await recipeToResume('auto', folder, 'matrix').catch((error: Error) => error.message);
  assert.match(String(refused), /was trained with f32, .*; leave --profile matrix out/);
  await leave('f16');
  assert.match(await refusal(engineOf('f32')), /was trained with f16, .*; give --precision f16/);
  assert.is((await recipeToResume('auto', folder, 'matrix')).precision, 'f16');
  const options = parsePretrainOptions(flags, undefined, undefined, await recipeToResume('auto', folder));
  assert.is(options.precision, 'f16', 'the engine is opened with it');
});

test('images that were moved are taken from where they are now', async () => {
  await leave('f32');
  assert.match(
    String((await resume(engineOf('f32'), { data_path: 'moved' }))[0]),
    /^resume: images are read from moved, before from x: the same bits if they are the same images$/,
  );
});

test('what changed is told: the adapter, or its profile alone; epochs count from 1, as the progress does', async () => {
  await leave('f32');
  const first = async (engine: Engine) => ((await resume(engine)) as string[])[0];
  assert.is(
    await first(engineOf('f32', 'simt')),
    'resume: the profile is simt now, it was cpu; results will not be bit-identical',
  );
  const other = engineOf('f32');
  Object.assign(other.device.adapter, { id: 'another, profiled' });
  assert.is(
    await first(other),
    'resume: the adapter is another, profiled, profile cpu now, it was some, profile cpu; results will not be bit-identical',
  );
  assert.is(await first(engineOf('f32')), `resuming from ${path}: epoch 1, after 9 of its steps`);
});

test('a run of another folder goes on beside the run that a folder holds, not over it', async () => {
  await leave('f32');
  const other = join(folder, 'other');
  assert.equal(await resume(engineOf('f32'), { resume: path, output_dir: other }), [
    `resuming from ${path}: epoch 1, after 9 of its steps`,
  ]);
  assert.not.ok(existsSync(other), 'nothing is made yet');
  mkdirSync(other);
  copyFileSync(path, join(other, 'checkpoint.safetensors'));
  assert.match(
    await refusal(engineOf('f32'), { resume: path, output_dir: other }),
    /^pretrain: --output_dir .*other holds a run already; --resume auto goes on with it, --overwrite/,
  );
  assert.is((await resume(engineOf('f32'), { resume: path, output_dir: other, overwrite: true })).length, 1);
  for (const own of ['auto', join(other, 'checkpoint.safetensors')])
    assert.match(
      await refusal(engineOf('f32'), { resume: own, output_dir: other, overwrite: true }),
      /^pretrain: --resume .* goes on with the run in .*other, --overwrite starts again in its place: give one of them$/,
    );
});

test('an output folder that cannot be is told before any data is opened', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  const options = parsePretrainOptions({ data_path: join(folder, 'no data'), output_dir: join(file, 'run') });
  const error = await pretrain(engineOf('f32'), options, silent).catch((e: Error) => e);
  assert.match(String(error), /pretrain: --output_dir: .*Not a directory: a file stands where a folder is needed/);
});

test('settings that are not used are told', async () => {
  const [a, b] = [{ 'gemm cpu/0': { TILE: 8 } }, { 'gemm cpu/0': { TILE: 4 } }];
  await leave('f32', undefined, a);
  const notes = async (engine: Engine) => ((await resume(engine)) as string[]).filter((line) => /settings/.test(line));
  assert.equal(await notes(engineOf('f32', 'cpu', a)), []);
  const untuned = engineOf('f32');
  assert.match((await notes(untuned)).join(), /keeps its 1 measured settings of kernels, --untuned is not used/);
  assert.equal(Object.fromEntries(untuned.picks), a);
  assert.match((await notes(engineOf('f32', 'cpu', b))).join(), /the 1 of now are not used/);
  const steps = [8, 8, 2].map((TILE, i) => ({ program: { shapeClass: `gemm ${i % 2}`, knobs: { TILE, OTHER: 1 } } }));
  const count = (picks: Record<string, KnobValues>) => notOffered({ steps } as never, new Map(Object.entries(picks)));
  assert.is(count({}), 0);
  assert.is(count({ 'gemm 1': { TILE: 8, ELSE: 3 } }), 0);
  assert.is(count({ 'gemm 1': { TILE: 4 }, 'gemm 0': { OTHER: 2 } }), 2, 'classes, not calls');
});

test('overflows: numbers at every save, a note above a tenth, and the loss scale beside a loss that is no number', async () => {
  const metrics: Record<string, number>[] = [];
  const notes: string[] = [];
  const out = { metric: async (line: Record<string, number>) => void metrics.push(line), note: notes.push.bind(notes) };
  const state = (skipped: number): LossScaleState => ({ scale: 64, good: 1, skipped });
  const watch = new Overflows(out as never, 100, state(7));
  await watch.saved(100, 1, state(7));
  await watch.saved(105, 1, state(8));
  await watch.saved(105, 1, state(8));
  await watch.saved(110, 1, state(8));
  assert.equal(metrics, [
    { step: 105, epoch: 1, loss_scale: 64, skipped_steps: 8 },
    { step: 110, epoch: 1, loss_scale: 64, skipped_steps: 8 },
  ]);
  assert.equal(notes, [], 'one of ten');
  await watch.saved(130, 2, state(11));
  assert.match(notes.join(), /^precision f16: 3 of the last 20 steps overflowed .*loss scale 64\); lower the learning/);
  await watch.saved(150, 2, state(11));
  await watch.saved(170, 2, null);
  assert.is(notes.length, 1);

  const [scale, good, skipped] = [{}, {}, {}];
  const values = new Map<unknown, number>([scale, good, skipped].map((v, i) => [v, [4, 5, 6][i]]));
  const engine = { read: async (v: unknown) => [values.get(v)] } as unknown as Engine;
  const half = await notFinite(
    engine,
    { lossScale: { scale, good, skipped } } as never,
    'pretrain: the loss is NaN at step 3',
  );
  assert.match(half, /the loss is NaN at step 3, with precision f16, loss scale 4, 6 steps skipped; .*--precision f32/);
  assert.not.match(await notFinite(engine, { lossScale: null }, 'pretrain: the loss is NaN at step 3'), /f16|f32/);
});

test.run();
