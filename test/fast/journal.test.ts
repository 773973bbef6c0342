// What a run keeps in its folder when the disk refuses, and which numbered checkpoints stay.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FileError, writeFileAtomic } from '../../engine/node/files.ts';
import { Journal } from '../../mae/train/journal.ts';
import { BEST, type Folder, LATEST } from '../../mae/train/setup.ts';

let folder = '';
const test = suite('journal');
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'tesserae-journal-'));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

/** A journal, what it said, and the folder as its last save knew it. */
function journal(keep = 0) {
  const notes: string[] = [];
  const saved: { folder: Partial<Folder> } = { folder: {} };
  const made = new Journal({ output_dir: folder, keep }, 'pretrain', (line) => notes.push(line));
  const save = (name: string, final = false) =>
    made.save(
      name,
      async (path, state) => {
        await writeFileAtomic(path, JSON.stringify(state));
        saved.folder = state;
      },
      final,
    );
  return { journal: made, notes, saved, save };
}
const numbered = () =>
  readdirSync(folder)
    .filter((name) => /\d/.test(name))
    .sort();
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

test('--keep 2: the newest two stay, the best, the latest and what is not of this run always', async () => {
  const others = ['checkpoint-0.safetensors', 'checkpoint-7 copy.safetensors', 'checkpoint-8.safetensors.bak'];
  for (const name of others) writeFileSync(join(folder, name), 'mine');
  const first = journal(2);
  await first.journal.open({});
  await first.save(BEST);
  for (const epoch of [1, 2, 3]) {
    await first.save(`checkpoint-${epoch}.safetensors`);
    await first.save(LATEST);
  }
  assert.equal(numbered(), [...others, 'checkpoint-2.safetensors', 'checkpoint-3.safetensors'].sort());
  // Goes on elsewhere: the list came with the checkpoint.
  const second = journal(2);
  await second.journal.open(first.saved.folder);
  for (const epoch of [3, 4]) await second.save(`checkpoint-${epoch}.safetensors`);
  assert.equal(numbered(), [...others, 'checkpoint-3.safetensors', 'checkpoint-4.safetensors'].sort());
  for (const name of [LATEST, BEST]) assert.ok(readdirSync(folder).includes(name));
  assert.equal([...first.notes, ...second.notes], []);
});

test('--overwrite: of the run before no checkpoint stays, but for the one that this begins with; a run that goes on keeps all', async () => {
  const theirs = [LATEST, BEST, 'checkpoint-0.safetensors', 'checkpoint-20.safetensors'];
  const kept = ['checkpoint-7 copy.safetensors', 'notes.txt'];
  for (const name of [...theirs, ...kept]) writeFileSync(join(folder, name), 'of before');
  const notes: string[] = [];
  symlinkSync(folder, `${folder}-link`);
  const options = { output_dir: folder, keep: 0, overwrite: true, init: join(`${folder}-link`, BEST), finetune: '' };
  const open = (state: Partial<Folder>) => new Journal(options, 'pretrain', (line) => notes.push(line)).open(state);
  const checkpoints = () => readdirSync(folder).filter((name) => !name.endsWith('.jsonl'));
  await open({ logs: { 'log.txt': 0 }, numbered: [] });
  assert.equal(checkpoints().sort(), [...theirs, ...kept].sort());
  await open({});
  assert.equal(checkpoints().sort(), [BEST, ...kept].sort());
  assert.equal(notes, [
    `--overwrite: the run before is gone from ${folder}: checkpoint-0.safetensors, checkpoint-20.safetensors, ${LATEST}`,
  ]);
  rmSync(`${folder}-link`);
});

test('--keep 0: all stay; a list that was tampered with deletes nothing else', async () => {
  const { journal: made, save } = journal();
  await made.open({});
  for (let epoch = 0; epoch < 4; epoch++) await save(`checkpoint-${epoch}.safetensors`);
  assert.is(numbered().length, 4);
  const other = journal(1);
  await save(LATEST);
  await other.journal.open({
    numbered: [LATEST, '../x', 'checkpoint-../../1.safetensors', 'checkpoint-0.safetensors'],
  });
  await other.save('checkpoint-9.safetensors');
  assert.equal(
    numbered(),
    [1, 2, 3, 9].map((epoch) => `checkpoint-${epoch}.safetensors`),
  );
  assert.ok(readdirSync(folder).includes(LATEST));
});

test('a save that the disk refuses: a note, all that was there stays, the old ones too; the final one is an error', async () => {
  const { journal: made, save, notes } = journal(1);
  await made.open({});
  await save('checkpoint-1.safetensors');
  await save(LATEST);
  const before = read(LATEST);
  // A folder in the place of the file: a refusal that even root gets.
  mkdirSync(join(folder, 'checkpoint-2.safetensors'));
  assert.is(await save('checkpoint-2.safetensors'), false);
  assert.match(notes.join(), /^save: .*checkpoint-2\.safetensors: .*training goes on, the next save tries again$/);
  assert.is(read(LATEST), before);
  rmdirSync(join(folder, 'checkpoint-2.safetensors'));
  assert.equal(numbered(), ['checkpoint-1.safetensors'], 'nothing was deleted for one that is not there');
  assert.is(await save('checkpoint-2.safetensors'), true);
  assert.equal(numbered(), ['checkpoint-2.safetensors']);
  rmSync(join(folder, LATEST));
  mkdirSync(join(folder, LATEST));
  const error = await save(LATEST, true).catch((refused: unknown) => refused);
  assert.instance(error, FileError);
  assert.equal(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
  const mistake = made.save(LATEST, () => Promise.reject(new TypeError('ours')));
  assert.instance(await mistake.catch((thrown: unknown) => thrown), TypeError, 'only what the disk refuses is borne');
});

test('lines that the disk refuses wait: one note, no hole, and a checkpoint knows of none that is not written', async () => {
  const { journal: made, save, saved, notes } = journal();
  await made.open({});
  await made.metric({ step: 1 });
  await save(LATEST);
  const before = saved.folder;
  rmSync(join(folder, 'metrics.jsonl'));
  mkdirSync(join(folder, 'metrics.jsonl'));
  for (const step of [2, 3]) await made.metric({ step });
  assert.is(notes.length, 1);
  assert.match(notes[0], /^log: .*metrics\.jsonl: .*its lines wait in memory$/);
  assert.is(await save(LATEST), false);
  assert.is(saved.folder, before);
  rmdirSync(join(folder, 'metrics.jsonl'));
  await made.metric({ step: 4 });
  assert.is(read('metrics.jsonl'), '{"step":2}\n{"step":3}\n{"step":4}\n');
  assert.is(await save(LATEST), true);
  assert.is(saved.folder.logs?.['metrics.jsonl'], read('metrics.jsonl').length);
});

test.run();
