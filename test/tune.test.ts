// Autotune on a device: every setting that variants offer computes right, measuring finds one of them, runs use it, and a run
// that is resumed keeps the settings that it had, whatever was measured since.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { catalogue, PROFILES, type Settings } from '../kernels/index.ts';
import { offers, type Picks } from '../kernels/picks.ts';
import { random } from '../kernels/random/random.ts';
import { resolve } from '../kernels/restate.ts';
import { Engine } from '../engine/engine.ts';
import { openDawn } from '../engine/node/dawn.ts';
import { PickFolder } from '../engine/node/pickfolder.ts';
import { picksOf, shippedTable } from '../engine/picks.ts';
import { tunables, tune } from '../engine/tune.ts';
import { usePicks } from '../mae/cli/picks.ts';
import { loadCheckpoint } from '../mae/train/checkpoint.ts';
import { parsePretrainOptions } from '../mae/train/options.ts';
import { pretrain } from '../mae/train/pretrain.ts';
import { trialStep } from '../mae/train/trial.ts';
import { compare, POISONS, prepare } from './support/kernel-run.ts';
import { fakeCifar, hashOf } from './support/kill-resume.ts';
import { cli } from './support/spawn-cli.ts';
import { TINY } from './support/tiny.ts';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const rng = random(seed);
console.log(`SEED=${seed}`);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-tune-'));
test.after(() => rmSync(folder, { recursive: true }));
const one = <T>(list: readonly T[]): T => list[rng.below(list.length)];

for (const profile of PROFILES) {
  test(`${profile}: settings that variants offer, drawn at random, against the reference`, async () => {
    using device = await openDawn({ profile, raiseLimits: false });
    for (const kernel of catalogue) {
      // By variant: what it offers in any case. The first offer is what test/kernels.test.ts runs.
      const found = new Map<string, { problem: Settings; picks: Picks }[]>();
      for (const problem of kernel.cases) {
        const { variant, shapeClass, profile: used } = resolve(kernel, problem, device.traits);
        if (used !== profile) continue;
        const asked = { ...variant.wgsl.knobs, ...kernel.options, ...problem };
        const others = offers(variant, asked, device.traits).slice(1);
        const place = shapeClass.split(' ')[1];
        const uses = others.map((knobs) => ({ problem, picks: new Map([[shapeClass, knobs]]) }));
        found.set(place, [...(found.get(place) ?? []), ...uses]);
      }
      // A few of them: software adapters take a second and more to build each.
      const drawn = [...found.values()].filter((uses) => uses.length > 0).flatMap((uses) => [one(uses), one(uses)]);
      for (const { problem, picks } of drawn) {
        const traits = { ...device.traits, picks };
        const trial = prepare(kernel, problem, { traits }, rng.below(2 ** 31));
        assert.ok(trial.program.picked);
        await compare(kernel, trial, device, one(POISONS)).catch((error: Error) => {
          throw new Error(
            `${error.message}; ${JSON.stringify([...picks])}, case ${JSON.stringify(problem)}, SEED=${seed}`,
            { cause: error },
          );
        });
      }
    }
  });
}

test('measuring: one of what is offered, no slower than the own choice, and the next plan runs with it', async () => {
  using device = await openDawn();
  using engine = new Engine(device);
  const all = tunables(trialStep(engine, TINY, 4, 0.5).plan, device);
  const tunable = all.find((t) => t.shapeClass.startsWith('attention.forward')) ?? all[0];
  const pick = await tune(device, tunable);
  assert.ok(tunable.offers.includes(pick.knobs));
  assert.ok(pick.best > 0 && pick.best <= pick.own && Number.isFinite(pick.own), `${pick.best} of ${pick.own} ms`);
  const other = tunable.offers[1];
  device.picks = new Map([[tunable.shapeClass, other]]);
  using tuned = new Engine(device);
  const { steps } = trialStep(tuned, TINY, 4, 0.5).plan;
  const picked = steps.filter(({ program }) => program.picked);
  assert.is(picked.length, tunable.calls);
  for (const { program } of picked) assert.is(program.shapeClass, tunable.shapeClass);
});

/** A small run in `output`, with these picks. @returns notes, what it left, and the picks in its checkpoint */
async function train(output: string, picks: Picks, flags: Record<string, unknown>) {
  using device = await openDawn();
  device.picks = picks;
  using engine = new Engine(device);
  const notes: string[] = [];
  const quiet = { fetching: () => {}, start: () => {}, step: () => {}, finish: () => {} };
  const options = parsePretrainOptions({
    data_path: join(folder, 'data'),
    output_dir: join(folder, output),
    model: 'mae_vit_nano_patch4_32',
    embed_dim: 24,
    depth: 1,
    num_heads: 2,
    decoder_depth: 1,
    batch_size: 8,
    epochs: 1,
    warmup_epochs: 0.5,
    heldout: 8,
    max_steps: 6,
    ...flags,
  });
  await pretrain(engine, options, { ...quiet, note: (line) => notes.push(line) });
  const checkpoint = join(folder, output, 'checkpoint.safetensors');
  return { notes, left: hashOf(checkpoint), picks: (await loadCheckpoint(checkpoint)).training?.picks };
}

test('a resumed run keeps its settings, bit for bit, though others were measured meanwhile', async () => {
  fakeCifar(join(folder, 'data'), seed);
  // Other settings for everything that offers any, as a table would give them.
  const first = await train('shapes', new Map(), { max_steps: 1 });
  assert.equal(first.picks, {});
  const picks = await anyOthers();
  const whole = await train('whole', picks, {});
  assert.equal(whole.picks, Object.fromEntries(picks));
  assert.ok(
    whole.notes.some((line) => /^kernels: \d+ of \d+ calls a step run with measured settings/.test(line)),
    whole.notes.join('\n'),
  );
  const none = await train('none', new Map(), {});
  assert.not(
    none.notes.some((line) => line.startsWith('kernels:')),
    none.notes.join('\n'),
  );
  assert.is.not(none.left, whole.left, 'other settings must give other bits, else this test shows nothing');

  await train('half', picks, { max_steps: 3 });
  const resumed = await train('half', new Map(), { resume: 'auto' });
  assert.is(resumed.left, whole.left);
  assert.equal(resumed.picks, whole.picks);
  // And the other way round: begun without, resumed where a table has appeared.
  await train('plain', new Map(), { max_steps: 3 });
  assert.is((await train('plain', picks, { resume: 'auto' })).left, none.left);
});

/** For every class of that run's step the last setting that is offered. */
async function anyOthers(): Promise<Picks> {
  using device = await openDawn();
  using engine = new Engine(device);
  const { config } = await loadCheckpoint(join(folder, 'shapes', 'checkpoint.safetensors'));
  const list = tunables(trialStep(engine, config, 8, 0.75).plan, device);
  return new Map(list.map(({ shapeClass, offers }) => [shapeClass, offers[offers.length - 1]]));
}

test('tesserae tune measures and keeps, --list shows it, --clear forgets', async () => {
  const env = { TESSERAE_CACHE: join(folder, 'cache') };
  const sizes = '--input_size 8x12 --embed_dim 24 --depth 1 --num_heads 2 --decoder_embed_dim 16 --decoder_depth 1';
  const flags = [...sizes.split(' '), '--decoder_num_heads', '1', '--batch_size', '4', '--mask_ratio', '0.5'];
  const dry = await cli(['tune', ...flags, '--dry-run'], env);
  assert.is(dry.code, 0, dry.err);
  assert.match(dry.out, /attention\.forward/);
  assert.match((await cli(['tune', '--list'], env)).out, /nothing was measured yet/);
  assert.match((await cli(['tune', ...flags, '--only', 'nothing'], env)).err, /no shape class contains nothing/);

  const { code, out, err } = await cli(['tune', ...flags, '--only', 'attention.forward'], env);
  assert.is(code, 0, err);
  assert.match(out, /2 shape classes in \d+ s: [\d.]+ ms a step by the kernels' own choice, [\d.]+ ms with these/);
  const store = new PickFolder(join(folder, 'cache', 'picks'));
  using device = await openDawn();
  const classes = Object.keys((await store.read(device.adapter.id))?.picks ?? {});
  assert.is(classes.length, 2);
  const listed = (await cli(['tune', '--list'], env)).out;
  for (const name of classes) assert.match(listed, name);

  // What is kept is not measured again, unless that is asked for; a damaged table is, and is written anew.
  const rest = await cli(['tune', ...flags, '--only', 'attention.forward'], env);
  assert.match(rest.out, /2 shape classes skipped/);
  assert.not.match(rest.out, 'ms a step');
  const asked = ['tune', ...flags, '--only', 'attention.forward', '--dry-run'];
  assert.not.match((await cli(asked, env)).out, classes[0]);
  assert.match((await cli([...asked, '--again'], env)).out, classes[0]);
  const [name] = readdirSync(join(folder, 'cache', 'picks'));
  writeFileSync(join(folder, 'cache', 'picks', name), '{');
  const anew = await cli(['tune', ...flags, '--only', classes[0]], env);
  assert.is(anew.code, 0, anew.err);
  assert.is(`${anew.out}${anew.err}`.split('damaged').length, 2, anew.out);
  assert.equal(Object.keys((await store.read(device.adapter.id))?.picks ?? {}), [classes[0]]);
  assert.match((await cli(['tune', '--clear'], env)).out, /forgot what was measured/);
  assert.equal(await store.list(), []);
});

test('a cache that cannot be written to is told before anything is measured', async () => {
  const cache = join(folder, 'closed');
  mkdirSync(cache);
  symlinkSync(join(folder, 'nowhere', 'picks'), join(cache, 'picks')); // mkdir fails here whoever runs it, root too
  const sizes = '--input_size 8x12 --embed_dim 24 --depth 1 --num_heads 2 --decoder_embed_dim 16 --decoder_depth 1';
  const { code, out, err } = await cli(['tune', ...sizes.split(' '), '--decoder_num_heads', '1', '--batch_size', '4'], {
    TESSERAE_CACHE: cache,
  });
  assert.is(code, 1, out);
  assert.match(err, /picks cannot be kept: /);
  assert.not.match(`${out}${err}`, 'settings measured');
});

test('a command runs with what is kept, before what ships; --untuned with neither; a damaged table is told', async () => {
  process.env.TESSERAE_CACHE = join(folder, 'used');
  using device = await openDawn();
  const notes: string[] = [];
  const used = async (untuned: boolean): Promise<Picks> => {
    await usePicks(device, untuned, (line) => notes.push(line));
    return device.picks;
  };
  const shipped = picksOf(shippedTable(device.adapter));
  assert.equal(device.picks, shipped);
  assert.equal(await used(false), shipped);
  const [class1 = 'gemm', ...rest] = shipped.keys();
  const picks = { [class1]: { knobs: { TM: 1 }, own: 2, best: 1 }, new: { knobs: { TM: 2 }, own: 2, best: 1 } };
  const store = new PickFolder(join(folder, 'used', 'picks'));
  await store.write({ version: 1, adapter: `not ${device.adapter.id}`, picks });
  assert.equal(await used(false), shipped);
  await store.write({ version: 1, adapter: device.adapter.id, picks });
  const both = await used(false);
  assert.equal([both.get(class1), both.get('new')], [{ TM: 1 }, { TM: 2 }]);
  for (const other of rest) assert.equal(both.get(other), shipped.get(other));
  assert.is((await used(true)).size, 0);
  assert.equal(notes, []);
  for (const name of readdirSync(join(folder, 'used', 'picks')))
    writeFileSync(join(folder, 'used', 'picks', name), '{');
  assert.equal(await used(false), shipped);
  assert.match(notes.join('\n'), /damaged/);
});

test.run();
