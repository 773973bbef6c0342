// Reports of runs: what a page says is what the logs say; odd folders end in one clear line; names of strangers are text, never markup.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { writeReport } from '../../mae/report/report.ts';
import { isDue } from '../../mae/train/progress-pictures.ts';
import { UsageError } from '../../mae/usage.ts';
import { FACTS, writeRun } from '../support/run-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'tesserae-report-'));
test.after(() => rmSync(root, { recursive: true }));

/** A run's folder of three epochs. */
async function folder(name: string): Promise<string> {
  const path = join(root, name);
  await writeRun(path, { pictures: 14 });
  return path;
}

test('a page holds the numbers of the logs, and needs nothing beside it', async () => {
  const path = await folder('good é');
  const [file, ...others] = await writeReport(path, { curves: 'svg' });
  assert.is(file, join(path, 'report.html'));
  const html = readFileSync(file, 'utf8');
  // The last epoch's loss, the last held-out one and the first, steps, pace, an epoch of 640 images at 80 a second.
  for (const shown of [
    '0.1000',
    (0.5 + 1 / 30).toFixed(4),
    '1.7500',
    '<dd>30</dd><dt>optimizer steps</dt>',
    '<dd>80</dd><dt>images per second</dt>',
    '1.23 M',
    '3.00 MiB',
    '0:08',
  ])
    assert.ok(html.includes(shown), shown);
  assert.match(html, /3 of 3 epochs/);
  const cells = [...html.matchAll(/<td[^>]*>([^<]*)/g)].slice(0, 6).map(([, text]) => text);
  assert.equal(cells, ['gemm', '5', '30.00', '75.0 %', '200.0', '10.0']);
  assert.match(html, /32 x 48/);
  // First, last, and no more than fit side by side.
  const captions = [...html.matchAll(/<figcaption>([^<]*)/g)].map(([, caption]) => caption);
  assert.equal([captions.length, captions[2], captions.at(-1)], [11, 'untrained', 'epoch 13']);
  // Its own script and data, and nothing that the run's names could have made into one.
  assert.equal(html.match(/<script[^>]*>/g), ['<script type="application/json" id="run">', '<script type="module">']);
  assert.is(html.match(/<\/script/gi)?.length, 2);
  assert.not.match(html.replace(/<script[\s\S]*/, ''), /(?:src|href)="(?!data:)/i);
  assert.not.match(html.replaceAll('http://www.w3.org', ''), /https?:\/\//);
  const data = JSON.parse(/id="run">([^<]*)/.exec(html)?.[1] ?? '');
  assert.equal([data.metrics.loss.y[4], data.metrics.knn_top1.last], [0.2, { x: 30, y: 60 }]);
  // Without scripts there are pictures, in colours of the theme.
  assert.not.match(/<div class="charts first">[\s\S]*?<script/.exec(html)?.[0] ?? '', /"#[0-9a-f]{6}"|"white"/);
  const curves = ['images_per_s', 'knn_top1', 'loss', 'lr'].map((name) => `${name}.svg`);
  assert.equal(readdirSync(join(path, 'curves')).sort(), curves);
  assert.is(others.length, curves.length);
  const line = / d="M[^"]{20,}"/.exec(readFileSync(join(path, 'curves', 'knn_top1.svg'), 'utf8'))?.[0] as string;
  assert.ok(html.includes(line));
});

test('a run of finetune: cross-entropy, what validation said last and at best; curves of one size', async () => {
  const path = join(root, 'tuned');
  mkdirSync(path);
  writeFileSync(join(path, 'run.json'), JSON.stringify({ ...FACTS, command: 'finetune' }));
  const lines = [0, 1, 2, 3].flatMap((epoch) => [
    { step: 10 * epoch + 1, epoch, loss: 2 - epoch / 9, lr: 1e-7 * epoch, images_per_s: 1e4 },
    { step: 10 * epoch, epoch, test_loss: 2, test_acc1: [9, 31.25, 47.5, 44][epoch], test_acc5: 80 },
  ]);
  writeFileSync(join(path, 'metrics.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const [file, loss, ...others] = await writeReport(path, { curves: 'svg' });
  const html = readFileSync(file, 'utf8');
  for (const shown of ['44.00 %', '47.50 %']) assert.ok(html.includes(`<dd>${shown}</dd>`), shown);
  assert.match(readFileSync(loss, 'utf8'), />cross-entropy</);
  const sizes = new Set(others.map((name) => /width="[\d.]+" height="[\d.]+"/.exec(readFileSync(name, 'utf8'))?.[0]));
  assert.is(others.length, 5);
  assert.is(sizes.size, 1, [...sizes].join());
});

test('a living run: no epoch yet, a line half written, facts and pictures missing', async () => {
  const path = await folder('living');
  for (const name of ['log.txt', 'run.json', 'pictures']) rmSync(join(path, name), { recursive: true });
  writeFileSync(join(path, 'metrics.jsonl'), '{"step":1,"epoch":0,"loss":0.5}\n{"step":2,"epo');
  const [file] = await writeReport(path, { output: join(root, 'elsewhere.html') });
  const html = readFileSync(file, 'utf8');
  assert.match(html, /<dd>1<\/dd><dt>optimizer steps/);
  assert.not.match(html.replace(/<script[\s\S]*/, ''), /Reconstructions|Kernels|Settings|NaN|undefined/);
});

test('what is no run ends in one line', async () => {
  const path = await folder('odd');
  const refused = async (where: string, pattern: RegExp) => {
    const error = await writeReport(where).then(
      () => null,
      (e: Error) => e,
    );
    assert.instance(error, UsageError);
    assert.match(String(error?.message), pattern);
  };
  await refused(join(root, 'nowhere'), /there is no .*nowhere/);
  await refused(join(path, 'log.txt'), /is a file: name the output_dir/);
  await refused(root, /has no metrics\.jsonl/);
  writeFileSync(join(path, 'run.json'), '{');
  await refused(path, /run\.json is no JSON/);
  writeFileSync(join(path, 'run.json'), JSON.stringify(FACTS));
  writeFileSync(join(path, 'metrics.jsonl'), 'epoch 1: good\n{"step":1,"loss":1}\n');
  await refused(path, /metrics\.jsonl, line 1, is no line of JSON/);
});

test('pictures: before, after, and at most twenty between, whatever is looked at', () => {
  for (const epochs of [1, 3, 20, 21, 400, 1600])
    for (const every of [1, 2, 7]) {
      const looked = Array.from({ length: epochs + 1 }, (_, i) => i).filter((i) => i % every === 0 || i === epochs);
      const due = looked.filter((epoch) => isDue(epoch, epochs, every));
      assert.equal([due[0], due.at(-1)], [0, epochs]);
      assert.ok(due.length <= 22, `${epochs} epochs, every ${every}: ${due.length}`);
      if (epochs <= 20 && every === 1) assert.is(due.length, epochs + 1);
    }
});

test.run();
