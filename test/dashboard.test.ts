// The dashboard in a page: over a run that trains, and is killed; several runs over one another; a server that goes and comes back;
// and a report's page as a file.
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { serveDashboard } from '../mae/dashboard/serve.ts';
import { writeReport } from '../mae/report/report.ts';
import { short } from '../mae/web/parts/numbers.ts';
import { chromium, openAddress } from './support/chromium.ts';
import { fakeCifar } from './support/kill-resume.ts';
import { FACTS, jsonLines, writeRun } from './support/run-folder.ts';
import { cli } from './support/spawn-cli.ts';

const inBrowser = chromium ? test : test.skip;
const root = mkdtempSync(join(tmpdir(), 'tesserae-dashboard-'));
test.after(() => rmSync(root, { recursive: true }));
const at = (...names: string[]): string => join(root, ...names);

type Numbers = Record<string, number>;
/** Lines that are whole. */
const linesOf = (run: string, log: string): Numbers[] =>
  readFileSync(join(run, log), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

const figure = (page: Page, key: string) => page.locator(`.figures [data-key="${key}"] dd`);
const chip = (page: Page, metric: string, n = 0) => page.locator(`[data-metric="${metric}"] .chip`).nth(n);
const state = (page: Page, name: string) => page.locator(`.pill[data-state="${name}"]`);

/** Waits for what a page comes to show. Its policy forbids what Playwright would evaluate in it for that. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it never came to be');
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** Moves the pointer over a chart. @returns the step there, and what the legend says of it */
async function readAt(page: Page, metric: string, part: number): Promise<{ step: number; values: string[] }> {
  const chart = page.locator(`[data-metric="${metric}"]`);
  await chart.scrollIntoViewIfNeeded();
  const box = (await chart.locator('.u-over').boundingBox())!;
  await page.mouse.move(box.x + part * box.width, box.y + box.height / 2);
  const told = chart.locator('.at:not(:empty)');
  await told.waitFor();
  const step = Number(((await told.textContent()) ?? '').replace(/[^\d.]/g, ''));
  return { step, values: await chart.locator('.chip .value').allTextContents() };
}

inBrowser(
  'a run that trains: values as its logs have them, images as they come; after kill -9 it says stopped',
  async () => {
    const data = at('data');
    fakeCifar(data, Number(process.env.SEED ?? Date.now() % 2 ** 31));
    const run = at('living');
    const board = await serveDashboard([run], { port: 0 });
    let child: ChildProcess | undefined;
    const flags =
      '--model mae_vit_nano_patch4_32 --depth 1 --decoder_depth 1 --batch_size 16 --heldout 4 --pictures 2 --epochs 400 --warmup_epochs 1';
    const ended = cli(
      ['pretrain', '--data_path', data, '--output_dir', run, ...flags.split(' ')],
      {},
      (c) => (child = c),
    );
    try {
      await using opened = await openAddress(board.address);
      const { page } = opened;
      await page.locator('.pill').waitFor();
      await Promise.race([
        state(page, 'running').waitFor({ timeout: 120_000 }),
        ended.then(({ err }) => assert.unreachable(err)),
      ]);
      // Two epochs further, and a picture of one of them.
      await page.locator('.wide.long').last().locator('tbody tr').nth(1).waitFor({ timeout: 120_000 });
      const before = Number(await figure(page, 'step').textContent());
      await until(async () => Number(await figure(page, 'step').textContent()) > before);
      assert.ok((await page.locator('.gallery figure').count()) >= 3, 'original, masked, untrained');
      await until(async () => {
        const widths = await page
          .locator('.gallery img')
          .evaluateAll((all) => all.map((e) => (e as unknown as { naturalWidth: number }).naturalWidth));
        return widths.every((width) => width > 0);
      });

      child?.kill('SIGKILL');
      await ended;
      await state(page, 'stopped').waitFor();
      assert.match((await page.locator('.troubles').textContent()) ?? '', /Its process is gone.*--resume auto goes on/);
      const metrics = linesOf(run, 'metrics.jsonl');
      const losses = metrics.filter((line) => 'loss' in line);
      const last = losses.at(-1) as Numbers;
      assert.is(await figure(page, 'step').textContent(), String(metrics.at(-1)?.step));
      await until(async () => (await chip(page, 'loss').locator('.value').textContent()) === last.loss.toFixed(4));
      assert.is(await chip(page, 'lr').locator('.value').textContent(), short(last.lr));
      const heldout = metrics.filter((line) => 'heldout_loss' in line);
      assert.is(await figure(page, 'heldout_loss').textContent(), heldout.at(-1)?.heldout_loss.toFixed(4));
      assert.is(await figure(page, 'untrained').textContent(), heldout[0].heldout_loss.toFixed(4));
      for (const part of [0.02, 0.4, 0.97]) {
        const { step, values } = await readAt(page, 'lr', part);
        assert.equal(values, [short(losses.find((line) => line.step === step)?.lr ?? Number.NaN)], `step ${step}`);
      }
      const rows = (await page.locator('.wide.long').last().locator('tbody tr').allInnerTexts()).map((row) =>
        row.split(/\s+/),
      );
      const log = linesOf(run, 'log.txt').reverse();
      assert.equal(
        rows,
        log.map(({ epoch, train_lr, train_loss, heldout_loss }) => [
          String(epoch + 1),
          ...[train_lr, train_loss, heldout_loss].map(short),
        ]),
      );
      // Facts of the run, and the kernels of the step that it timed.
      const { step } = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
      const kernels = page.locator('.wide.long').first();
      assert.is(await kernels.locator('tbody tr').count(), step.kernels.length);
      assert.is(await kernels.locator('tbody td').nth(2).textContent(), step.kernels[0].ms.toFixed(2));
      assert.ok(step.kernels.length > 8);
      await page.getByRole('button', { name: `all ${step.kernels.length} kernels` }).click();
      const inSight = (e: unknown) =>
        (e as { scrollHeight: number }).scrollHeight <= (e as { clientHeight: number }).clientHeight;
      assert.ok(await page.locator('.wide').first().evaluate(inSight), 'all kernels, without scrolling');
      opened.check();
    } finally {
      child?.kill('SIGKILL');
      await board.close();
    }
  },
);

inBrowser('several runs: a curve each, where they part, in what they differ; by step or by epoch', async () => {
  const dead = { pid: 2 ** 22 + 1, host: 'elsewhere.example', started: null };
  await writeRun(at('one', 'run'), { epochs: 3 });
  await writeRun(at('two', 'run'), {
    epochs: 2,
    factor: 1.5,
    facts: { process: dead, stepsPerEpoch: 20, options: { ...FACTS.options, blr: 0.01 } },
  });
  const board = await serveDashboard([at('one', 'run'), at('two', 'run')], { port: 0 });
  try {
    await using opened = await openAddress(board.address, { size: { width: 1200, height: 900 } });
    const { page } = opened;
    await page.locator('[data-metric="heldout_loss"] .chip').nth(1).waitFor();
    // Two folders of one name are told apart.
    assert.equal(await page.locator('.runs tbody th').allTextContents(), ['run', 'run (2)']);
    assert.equal(await page.locator('.runs .pill').allTextContents(), ['finished', 'unknown']);
    const { step, values } = await readAt(page, 'heldout_loss', 0.35);
    assert.is(step, 1, 'their epochs differ in steps: curves are by epoch');
    assert.equal(values, ['0.6000', '0.8250'], 'at step 10 of one, 20 of the other');
    await page.getByText('by step').click();
    const bySteps = await readAt(page, 'heldout_loss', 0.35);
    assert.equal([bySteps.step, ...bySteps.values], [10, '0.6000', '0.9000']);
    const verdicts = await page.locator('.verdicts tbody tr').allInnerTexts();
    assert.match(
      verdicts.join('\n'),
      /^metric\s+run\s+run \(2\)\s[\s\S]*\nheldout_loss\s+0\.5500\s+0\.8250\s+apart from epoch 1 on: 50\.0 % worse at epoch 2/,
    );
    const settings = await page.locator('section').last().locator('tbody tr').allInnerTexts();
    assert.equal(
      settings.map((row) => row.trim().split(/\s+/)),
      [['blr', '0.01']],
    );
    await chip(page, 'loss', 1).click();
    assert.is(await chip(page, 'loss', 1).getAttribute('aria-pressed'), 'false');
    assert.is(await page.locator('script:not([src])').count(), 0, 'what a run is called makes no markup');
    opened.check();
  } finally {
    await board.close();
  }
});

inBrowser('a server that ends is told of; one that comes back is found, with all that came meanwhile', async () => {
  const run = at('again');
  await writeRun(run, { epochs: 2 });
  const first = await serveDashboard([run], { port: 0 });
  await using opened = await openAddress(first.address, { expected: /ERR_CONNECTION_REFUSED/ });
  const { page } = opened;
  await state(page, 'unknown').waitFor();
  await first.close();
  await page.getByText('the command that served this has ended').waitFor();
  await state(page, 'lost').waitFor();
  appendFileSync(
    join(run, 'metrics.jsonl'),
    jsonLines([{ step: 21, epoch: 2, loss: 0.125, lr: 1e-3, images_per_s: 80 }]),
  );
  const second = await serveDashboard([run], { port: Number(new URL(first.address).port) });
  try {
    await state(page, 'unknown').waitFor();
    await until(async () => (await figure(page, 'step').textContent()) === '21');
    await until(async () => (await chip(page, 'loss').locator('.value').textContent()) === '0.1250');
    assert.is(await page.locator('.status').textContent(), 'live');
    assert.is(await page.locator('[data-metric="loss"]').count(), 1, 'each chart once');
    opened.check();
  } finally {
    await second.close();
  }
});

inBrowser('a report as a file: curves that answer, light and dark, and no request', async () => {
  const run = at('report');
  await writeRun(run);
  const [file] = await writeReport(run);
  const asked: string[] = [];
  await using opened = await openAddress(pathToFileURL(file).href, {
    begin: async (page) => void page.on('request', (r) => asked.push(r.url())),
  });
  const { page } = opened;
  await page.locator('canvas').nth(3).waitFor();
  assert.equal(
    asked.filter((url) => !/^(file|data):/.test(url)),
    [],
  );
  assert.is(await page.locator('.drawn').count(), 0);
  const { step, values } = await readAt(page, 'knn_top1', 0.5);
  assert.equal([step, values], [20, [short(50)]]);
  const corner = () =>
    page.locator('[data-metric="loss"]').evaluate((e) => {
      const style = (
        globalThis as unknown as { getComputedStyle(e: unknown): { backgroundColor: string } }
      ).getComputedStyle(e);
      return Number(/\d+/.exec(style.backgroundColor)?.[0]);
    });
  assert.ok((await corner()) > 200);
  await page.emulateMedia({ colorScheme: 'dark' });
  assert.ok((await corner()) < 60);
  opened.check();
});

test.run();
