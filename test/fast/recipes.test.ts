// Every recipe is read without a word, describes a model that can be, and opens with the command that runs it.
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseFinetuneOptions } from '../../mae/finetune/options.ts';
import { studySettings } from '../../mae/study.ts';
import { modelConfig, parsePretrainOptions } from '../../mae/train/options.ts';
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
test.run();
