// `tesserae compare`: which log it reads, what it draws from it, and where it says that two runs part.
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pairTables } from '../../mae/cli/compare.ts';
import { measuresApart, parting, readRun, readRuns, type RunLog, sharedMetrics, verdict } from '../../mae/compare.ts';
import { compareCurves } from '../../mae/pictures/compare-curves.ts';
import { UsageError } from '../../mae/usage.ts';

const log = (name: string, ...losses: number[]): RunLog => ({
  name,
  lines: losses.map((heldout_loss, epoch) => ({ epoch, train_lr: 1, heldout_loss, knn_top1: 100 * heldout_loss })),
});

test('two runs part at the first epoch after which they never meet again', () => {
  const a = log('a', 1, 0.5, 0.4, 0.35, 0.3);
  const b = log('b', 1.5, 0.5, 0.404, 0.38, 0.33);
  const found = parting(a, b, 'heldout_loss', 0.02);
  assert.is(found?.from, 4);
  assert.ok(Math.abs((found?.difference ?? 0) - 0.1) < 1e-12);
  assert.is(found?.better, false);
  assert.is(verdict(found as never, 0.02), 'apart from epoch 4 on: 10.0 % worse at epoch 5');
  // Of an accuracy more is better.
  assert.is(parting(a, b, 'knn_top1', 0.02)?.better, true);
});

test('a run that is not done yet is held against the epochs that it has; what is missing is no zero', () => {
  const a = log('a', 1, 0.5, 0.4);
  const found = parting(a, log('b', 1, 0.5), 'heldout_loss', 0.01);
  assert.is(found?.from, null);
  assert.is(found?.last, 2);
  assert.match(verdict(found as never, 0.01), /^together: within 1.0 % at epoch 2, the last of 2/);
  assert.is(parting(a, { name: 'c', lines: [{ epoch: 7, heldout_loss: 1 }] }, 'heldout_loss', 0.01), null);
});

test('a run that ended within an epoch is held against one that ended there, too, else up to the epoch before', () => {
  const ended = (...ends: Record<string, number>[]): RunLog => ({ name: 'x', lines: [...log('a', 1).lines, ...ends] });
  const [a, b] = [0.5, 0.6].map((heldout_loss) => ended({ epoch: 1, part: 3 / 8, heldout_loss }));
  const found = parting(a, b, 'heldout_loss', 0.02);
  assert.is(verdict(found as never, 0.02), 'apart from epoch 1.38 on: 20.0 % worse at epoch 1.38');
  for (const other of [log('c', 1, 0.5), ended({ epoch: 1, part: 0.5, heldout_loss: 9 })])
    assert.match(verdict(parting(a, other, 'heldout_loss', 0.02) as never, 0.02), /at epoch 1, the last of 1 in/);
  assert.equal(sharedMetrics([a, b]), ['heldout_loss', 'knn_top1']);
});

test('shared metrics are those of two runs at least, losses first', () => {
  const runs = [log('a', 1), log('b', 2), { name: 'c', lines: [{ epoch: 0, test_acc1: 3 }] }];
  assert.equal(sharedMetrics(runs), ['heldout_loss', 'knn_top1']);
});

test('folders, recipes and files are read; everything else is told in one line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tesserae compare '));
  try {
    await writeFile(join(folder, 'log.txt'), '{"epoch":0,"train_loss":2,"note":"x"}\n{"epoch":1,"train_loss":1}\n');
    assert.equal((await readRun(folder)).lines, [
      { epoch: 0, train_loss: 2 },
      { epoch: 1, train_loss: 1 },
    ]);
    await writeFile(join(folder, 'quick.yaml'), 'model: {}\n');
    await writeFile(join(folder, 'quick.log.txt'), '{"epoch":0,"train_loss":3}\n');
    assert.equal(await readRun(join(folder, 'quick.yaml')), {
      name: 'quick.yaml',
      lines: [{ epoch: 0, train_loss: 3 }],
    });
    // What the losses measure is told where it is known and differs.
    await writeFile(join(folder, 'norm.yaml'), 'data_path: x\nnorm_pix_loss: true\nmask_ratio: 0.6\n');
    await writeFile(join(folder, 'norm.log.txt'), '{"epoch":0,"train_loss":3}\n');
    const facts = (options: object) => JSON.stringify({ command: 'pretrain', options });
    await writeFile(join(folder, 'run.json'), facts({ objective: 'simmim', norm_pix_loss: false, mask_ratio: 0.75 }));
    const [plain, norm, none] = await readRuns(['', 'norm.yaml', 'quick.yaml'].map((name) => join(folder, name)));
    assert.match(
      measuresApart([plain, norm, none]) ?? '',
      /^the losses are of different measures, .*: absolute error of plain pixels, 75 % masked; norm\.yaml: squared error of normalised pixels, 60 % masked\)$/,
    );
    assert.is(measuresApart([norm, none, norm]), null);
    await mkdir(join(folder, 'empty'));
    await writeFile(join(folder, 'bad.txt'), 'epoch 1\n');
    for (const [path, says] of [
      [join(folder, 'none'), /there is no/],
      [join(folder, 'empty'), /has no log.txt/],
      [join(folder, 'bad.txt'), /line 1 is not JSON/],
    ] as const) {
      const error = await readRun(path).then(
        () => null,
        (e: Error) => e,
      );
      assert.match(error?.message ?? '', says);
    }
    assert.instance(await readRun(join(folder, 'none')).catch((e: Error) => e), UsageError);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every run beside the first has a table with both names over its columns; namesakes are called by their paths', async () => {
  const runs = [log('plain', 1, 0.5), log('wide', 1, 0.25), log('late', 1)];
  const heads = pairTables(runs, ['heldout_loss'], 0.02).map(([head]) =>
    stripVTControlCharacters(head).trim().split(/ +/),
  );
  assert.equal(heads, [
    ['plain', 'wide'],
    ['plain', 'late'],
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'tesserae-compare-'));
  try {
    const paths = ['a/run', 'b/run', 'b/other'].map((path) => join(folder, path));
    for (const path of paths) {
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'log.txt'), '{"epoch":0,"train_loss":2}\n');
    }
    assert.equal(
      (await readRuns(paths)).map(({ name }) => name),
      [paths[0], paths[1], 'other'],
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('the chart has a line and a name for every run', async () => {
  const svg = await compareCurves([log('first', 1, 0.5), log('second', 2, 1)], ['heldout_loss', 'knn_top1'], 'two');
  for (const text of ['first', 'second', 'heldout_loss', 'knn_top1']) assert.match(svg, text);
  assert.ok((svg.match(/<path[^>]*stroke="#d1602b"/g) ?? []).length >= 2);
  // The seventh has the first one's colour, and dashes.
  const many = await compareCurves(
    Array.from({ length: 7 }, (_, i) => log(`run ${i}`, 2, 1)),
    ['heldout_loss'],
    'many',
  );
  assert.match(many, /<path[^>]*stroke="#1f5f99"[^>]*stroke-dasharray="9,4"/);
});
test.run();
