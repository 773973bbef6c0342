// Every recipe is read without a word, describes a model that can be, and opens with the command that runs it.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { readRun } from '../../mae/compare.ts';
import {
  ENCODERS,
  type Encoder,
  type StudyResult,
  type Summary,
  study,
  studySettings,
  summary,
} from '../../mae/study.ts';
import { modelConfig } from '../../mae/train/configured.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
import { silent } from '../../mae/train/reporter.ts';
import type { Engine } from '../../engine/engine.ts';
import { readConfig } from '../../mae/train/table.ts';

const folder = new URL('../../mae/recipes/', import.meta.url);
const recipes = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const page = readFileSync(new URL('README.md', folder), 'utf8');
assert.ok(recipes.length >= 7);

for (const name of recipes) {
  const path = new URL(name, folder).pathname;
  test(`${name} is read, told of, and opens with its command`, () => {
    const notes: string[] = [];
    const text = readFileSync(path, 'utf8');
    const data = /data_path:/.test(text) ? {} : { data_path: 'somewhere' };
    const options = parsePretrainOptions(data, path, (line) => notes.push(line));
    assert.equal(notes, []);
    assert.ok(modelConfig(options).depth >= 4);
    assert.match(text.split('\nmodel:')[0], `npx tesserae pretrain --config mae/recipes/${name}`);
    assert.ok(page.includes(name), `mae/recipes/README.md does not tell of ${name}`);
    if (!readConfig(path).study) return;
    const { finetune } = studySettings(path);
    parseFinetuneOptions({ ...finetune, finetune: 'x', data_path: 'y' }, undefined, (line) => notes.push(line));
    assert.equal(notes, []);
  });
}
test("the quick recipe's records say one thing: three seeds, MAE ahead of random, PyTorch within the spreads", async () => {
  const at = (name: string): string => new URL(name, folder).pathname;
  const told = readFileSync(at('cifar10-quick.yaml'), 'utf8');
  const record = JSON.parse(readFileSync(at('cifar10-quick.json'), 'utf8')) as Record<'seeds' | 'pytorch', unknown>;
  const seeds = record.seeds as StudyResult[];
  const { seeds: theirs } = record.pytorch as { seeds: StudyResult[] };
  assert.equal(
    seeds.map(({ seed }) => seed),
    [0, 1, 2],
  );
  const last = async (name: string) => (await readRun(at(name))).lines.at(-1)?.heldout_loss;
  const logs = ['yaml', 'seed-1.log.txt', 'seed-2.log.txt'].map((end) => last(`cifar10-quick.${end}`));
  const losses = (of: StudyResult[]) => of.map(({ heldout_loss = Number.NaN }) => heldout_loss);
  assert.equal(await Promise.all(logs), losses(seeds));
  assert.is(await last('cifar10-quick.pytorch.log.txt'), losses(theirs)[0]);
  assert.ok(Math.abs(summary(losses(theirs)).mean / summary(losses(seeds)).mean - 1) < 0.01);
  const text = ({ mean, spread }: Summary): string => `${mean.toFixed(2)} ± ${spread.toFixed(2)}`;
  for (const metric of ['linear', 'knn'] as const) {
    for (const features of ['cls', 'gap'] as const) {
      const of = (results: StudyResult[], encoder: Encoder): Summary =>
        summary(
          results.map(
            ({ rows = [] }) =>
              rows.find((r) => r.encoder === encoder && r.features === features)?.[metric] ?? Number.NaN,
          ),
        );
      const [random, mae] = ENCODERS.map((encoder) => of(seeds, encoder));
      assert.match(told, `${text(random)}   ${text(mae)}`);
      assert.ok(mae.mean - random.mean > 3 * Math.max(random.spread, mae.spread), `${metric} of ${features}`);
      for (const [i, ours] of [random, mae].entries()) {
        const peer = of(theirs, ENCODERS[i]);
        assert.ok(Math.abs(peer.mean - ours.mean) < Math.max(peer.spread, ours.spread), `${metric}, ${features}, ${i}`);
      }
    }
  }
  const tuned = ENCODERS.map((encoder) => summary(seeds.map(({ finetune }) => finetune?.[encoder] ?? Number.NaN)));
  assert.match(told, `from scratch ${text(tuned[0])}, from MAE ${text(tuned[1])}`);
  assert.ok(tuned[1].mean - tuned[0].mean > 3 * Math.max(tuned[0].spread, tuned[1].spread));
});

test("SimMIM's record says what its recipe says, beside the first seed of the quick one", async () => {
  const at = (name: string): string => new URL(name, folder).pathname;
  const told = readFileSync(at('cifar10-simmim.yaml'), 'utf8');
  const seedOf = (name: string): StudyResult => JSON.parse(readFileSync(at(name), 'utf8')).seeds[0];
  const [simmim, mae] = ['cifar10-simmim.json', 'cifar10-quick.json'].map(seedOf);
  assert.is((await readRun(at('cifar10-simmim.yaml'))).lines.at(-1)?.heldout_loss, simmim.heldout_loss);
  for (const metric of ['linear', 'knn'] as const) {
    for (const features of ['cls', 'gap'] as const) {
      const of = (result: StudyResult, encoder: Encoder): string =>
        result.rows?.find((r) => r.encoder === encoder && r.features === features)?.[metric]?.toFixed(2) ?? 'none';
      assert.match(told, `${of(simmim, 'random')}   ${of(simmim, 'mae')}   (${of(mae, 'mae')})`);
    }
  }
  const [{ finetune: ours }, { finetune: theirs }] = [simmim, mae];
  assert.match(told, `from scratch ${ours?.random}, from SimMIM ${ours?.mae}   (${theirs?.mae})`);
});

test('a study that could not end is refused before it pretrains', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tesserae-recipe-'));
  try {
    const recipe = join(home, 'mine.yaml');
    const write = (finetune: string): void =>
      writeFileSync(
        recipe,
        `data: {data_path: ${join(home, 'data')}}\nmodel: {model: mae_vit_nano_patch4_32}\nschedule: {warmup_epochs: 1}\nstudy: {finetune: {${finetune}}}\n`,
      );
    const put = (...place: string[]): void => {
      mkdirSync(join(home, 'data', ...place), { recursive: true });
      for (let i = 0; i < 10; i++) writeFileSync(join(home, 'data', ...place, `${i}.png`), 'not looked at');
    };
    // No device: whatever asks for one ends otherwise.
    const refusal = (): Promise<string> =>
      study({} as Engine, { recipe, seed: 0, folder: join(home, 'out') }, silent).then(
        () => 'none',
        (error: Error) => error.message,
      );
    for (const name of ['cat', 'dog']) put('train', name);
    write('augment: light');
    assert.match(await refusal(), /^study: .*data has no test images, .*: give it a folder test\/$/);
    for (const name of ['cat', 'dog']) put('test', name);
    write('agument: light');
    assert.match(await refusal(), /--agument is not known; did you mean --augment\?/);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
test.run();
