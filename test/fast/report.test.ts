// Reports of runs: what a page says is what the logs say; odd folders end in one clear line; names of strangers are text, never markup.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { blank } from '../../mae/render/picture.ts';
import { encodePng } from '../../mae/pictures/png.ts';
import { writeReport } from '../../mae/report/report.ts';
import type { RunFacts } from '../../mae/train/facts.ts';
import { isDue } from '../../mae/train/progress-pictures.ts';
import { UsageError } from '../../mae/usage.ts';

const root = mkdtempSync(join(tmpdir(), 'tesserae-report-'));
test.after(() => rmSync(root, { recursive: true }));

const FACTS: RunFacts = {
  command: 'pretrain',
  tesserae: '9.9.9',
  node: 'v20',
  adapter: 'card <b>',
  profile: 'simt',
  precision: 'f32',
  began: '2026-01-01T00:00:00.000Z',
  images: 640,
  stepsPerEpoch: 10,
  parameters: 1_230_000,
  options: { epochs: 3, batch_size: 64, accum_iter: 1, input_size: [32, 48], data_path: '<script>alert(1)</script>' },
  step: {
    kernels: [
      { kernel: 'gemm', calls: 5, ms: 30, flops: 6e9, bytes: 3e8 },
      { kernel: 'adamw.update', calls: 1, ms: 10, flops: 0, bytes: 1e8 },
    ],
    byWaiting: false,
    gpuBytes: 3 * 2 ** 20,
  },
};

/** A run's folder of three epochs. */
async function folder(name: string): Promise<string> {
  const path = join(root, name);
  mkdirSync(join(path, 'pictures'), { recursive: true });
  writeFileSync(join(path, 'run.json'), JSON.stringify(FACTS));
  const metrics: object[] = [{ step: 0, epoch: 0, heldout_loss: 1.75 }];
  for (let step = 1; step <= 30; step++) {
    metrics.push({ step, epoch: Math.floor((step - 1) / 10), loss: 1 / step, lr: step / 1e4, images_per_s: 80 });
    if (step % 10 === 0) metrics.push({ step, epoch: step / 10, heldout_loss: 0.5 + 1 / step, knn_top1: 30 + step });
  }
  writeFileSync(join(path, 'metrics.jsonl'), metrics.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const epochs = [0, 1, 2].map(
    (epoch) => `${JSON.stringify({ epoch, train_loss: 0.3 - epoch / 10, train_lr: 1e-3 })}\n`,
  );
  writeFileSync(join(path, 'log.txt'), epochs.join(''));
  const tile = await encodePng(blank(8, 8, [9, 99, 199]));
  const names = ['original', 'masked', ...Array.from({ length: 14 }, (_, i) => `epoch-${String(i).padStart(4, '0')}`)];
  for (const file of names) writeFileSync(join(path, 'pictures', `${file}.png`), tile);
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
    '<b>30</b>',
    '<b>80</b>',
    '1.23 M',
    '3.00 MiB',
    '0:08',
  ])
    assert.ok(html.includes(shown), shown);
  assert.match(html, /3 of 3 epochs/);
  assert.match(html, /<td>gemm<\/td><td>5<\/td><td>30\.00<\/td><td>75\.0 %<\/td><td>200\.0<\/td><td>10\.0<\/td>/);
  assert.match(html, /32 x 48/);
  // First, last, and no more than fit side by side.
  const captions = [...html.matchAll(/<figcaption>([^<]*)/g)].map(([, caption]) => caption);
  assert.equal([captions.length, captions[2], captions.at(-1)], [11, 'untrained', 'epoch 13']);
  assert.not.match(html, /<script|(?:src|href)="(?!data:)/i);
  assert.not.match(html.replaceAll('http://www.w3.org', ''), /https?:\/\//);
  const curves = ['images_per_s', 'knn_top1', 'loss', 'lr'].map((name) => `${name}.svg`);
  assert.equal(readdirSync(join(path, 'curves')).sort(), curves);
  assert.is(others.length, curves.length);
  assert.ok(html.includes(readFileSync(join(path, 'curves', 'knn_top1.svg'), 'utf8')));
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
  for (const shown of ['44.00 %', '47.50 %']) assert.ok(html.includes(`<b>${shown}</b>`), shown);
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
  assert.match(html, /<b>1<\/b><span>optimizer steps/);
  assert.not.match(html, /Reconstructions|Kernels|Settings|NaN|undefined/);
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
