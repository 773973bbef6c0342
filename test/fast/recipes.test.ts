// Every recipe is read without a word, describes a model that can be, and opens with the command that runs it.
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { readRun } from '../../mae/compare.ts';
import { type StudyResult, studySettings, summary } from '../../mae/study.ts';
import { modelConfig } from '../../mae/train/configured.ts';
import { parsePretrainOptions } from '../../mae/train/options.ts';
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
test("the quick recipe's records say one thing: three seeds, ahead of random, and PyTorch's held-out loss within a hundredth", async () => {
  const at = (name: string): string => new URL(name, folder).pathname;
  const { seeds } = JSON.parse(readFileSync(at('cifar10-quick.json'), 'utf8')) as { seeds: StudyResult[] };
  assert.equal(
    seeds.map(({ seed }) => seed),
    [0, 1, 2],
  );
  const last = async (name: string) => (await readRun(at(name))).lines.at(-1);
  assert.is((await last('cifar10-quick.yaml'))?.heldout_loss, seeds[0].heldout_loss);
  const mean = seeds.reduce((sum, { heldout_loss = Number.NaN }) => sum + heldout_loss / 3, 0);
  const theirs = await last('cifar10-quick.pytorch.log.txt');
  assert.is(theirs?.epoch, 7);
  assert.ok(Math.abs((theirs?.heldout_loss ?? 0) / mean - 1) < 0.01);
  for (const features of ['cls', 'gap']) {
    const of = (encoder: string) =>
      summary(
        seeds.map(({ rows = [] }) => rows.find((r) => r.encoder === encoder && r.features === features)?.linear ?? 0),
      );
    const told = `${of('random').mean.toFixed(2)} ± ${of('random').spread.toFixed(2)}   ${of('mae').mean.toFixed(2)} ± ${of('mae').spread.toFixed(2)}`;
    assert.match(readFileSync(at('cifar10-quick.yaml'), 'utf8'), told);
    assert.ok(of('mae').mean - of('random').mean > 2.9 * Math.max(of('mae').spread, of('random').spread));
  }
});
test.run();
