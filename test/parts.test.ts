// The parts of pages in a page: curves that grow, hide and take a logarithmic axis, figures that keep their places, tables that sort,
// images that come one after another; light and dark. PICTURES=FOLDER keeps what they look like.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chromium, openPage } from './support/chromium.ts';
import { styleTag } from './support/styled.ts';

const inBrowser = chromium ? test : test.skip;
const styles = await styleTag();

async function keep(page: Page, name: string): Promise<Buffer> {
  const bytes = await page.screenshot({ fullPage: true });
  if (process.env.PICTURES) {
    mkdirSync(process.env.PICTURES, { recursive: true });
    writeFileSync(join(process.env.PICTURES, `${name}.png`), bytes);
  }
  return bytes;
}

const open = (width = 960) =>
  openPage('mae/web/parts/index.ts', {
    html: `${styles}<main style="padding:20px;display:grid;gap:12px"></main>`,
    size: { width, height: 900 },
  });

/** Two frames: what was asked for is drawn. */
const DRAWN = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))';
/** Pixels of the canvas that are not clear. */
const INK = `(() => { const c = document.querySelector('canvas'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })()`;

inBrowser('curves grow, tell their last values, hide, and take a logarithmic axis', async () => {
  await using opened = await open();
  const { page } = opened;
  await page.evaluate(`{
    const chart = (globalThis.chart = new entry.Curves({ title: 'Loss' }));
    document.querySelector('main').append(chart.element);
  }`);
  assert.ok(await page.locator('.empty').isVisible());
  await page.evaluate(`{
    const a = (globalThis.a = chart.curve('a', { name: 'first <b>', kind: 'smooth' }));
    const b = chart.curve('b', { name: 'held-out', kind: 'sparse' });
    for (let step = 1; step <= 300; step++) a.append(step, 2 * Math.exp(-step / 60) + 0.4 + 0.1 * Math.sin(step * 7));
    for (let step = 0; step <= 300; step += 60) b.append(step, 2 * Math.exp(-step / 70) + 0.5);
  }`);
  await page.evaluate(DRAWN);
  assert.ok(!(await page.locator('.empty').isVisible()));
  const last = (await page.evaluate('a.last.y')) as number;
  const values = page.locator('.chip .value');
  assert.is(await values.nth(0).textContent(), last.toFixed(4));
  assert.match(
    (await page.locator('.plot').getAttribute('aria-label')) ?? '',
    /^Loss: first <b> 0\.\d{4}, held-out 0\.5/,
  );
  const canvas = await page.locator('canvas').count();
  assert.is(canvas, 1);
  const height = await page.locator('.curves').evaluate((e) => (e as unknown as { offsetHeight: number }).offsetHeight);

  // A point more: its value, in the same place.
  await page.evaluate('a.append(301, 0.123456)');
  await page.evaluate(DRAWN);
  assert.is(await values.nth(0).textContent(), '0.1235');
  assert.is(
    await page.locator('.curves').evaluate((e) => (e as unknown as { offsetHeight: number }).offsetHeight),
    height,
  );

  // Under the pointer: the value there.
  const box = (await page.locator('.u-over').boundingBox())!;
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await new Promise((r) => setTimeout(r, 500));
  await page.waitForFunction(`/^optimizer step 1[45]\\d$/.test(document.querySelector('.at').textContent)`);
  const at = Number(/\d+/.exec((await page.locator('.at').textContent()) ?? ''));
  const there = (await page.evaluate(`a.y[${at - 1}]`)) as number;
  assert.is(await values.nth(0).textContent(), there.toFixed(4));
  await page.mouse.move(2, 2);

  const inked = (await page.evaluate(INK)) as number;
  await page.locator('.chip').nth(0).click();
  await page.evaluate(DRAWN);
  assert.is(await page.locator('.chip').nth(0).getAttribute('aria-pressed'), 'false');
  assert.ok(((await page.evaluate(INK)) as number) < inked - 200, 'a hidden curve is not drawn');
  await page.locator('.chip').nth(0).press('Enter');
  await page.getByRole('button', { name: 'log' }).click();
  await page.evaluate(DRAWN);
  assert.ok(((await page.evaluate(INK)) as number) > 1000);
  await keep(page, 'parts-log');
  await page.evaluate(`chart.remove('b')`);
  await page.evaluate(DRAWN);
  assert.is(await page.locator('.chip').count(), 1);
  await page.evaluate('chart.close()');
  assert.is(await page.locator('.curves').count(), 0);
});

inBrowser('what was zoomed into stays in sight while points come, until a double click', async () => {
  await using opened = await open();
  const { page } = opened;
  await page.evaluate(`{
    const chart = new entry.Curves({ title: 'Loss' });
    document.querySelector('main').append(chart.element);
    globalThis.a = chart.curve('a', { name: 'a' });
    for (let step = 0; step <= 100; step++) a.append(step, step);
  }`);
  await page.evaluate(DRAWN);
  const box = (await page.locator('.u-over').boundingBox())!;
  const at = async (part: number): Promise<number> => {
    await page.mouse.move(box.x + part * box.width, box.y + 20);
    await page.evaluate(DRAWN);
    return Number(/\d+/.exec((await page.locator('.at').textContent()) ?? ''));
  };
  assert.ok((await at(0.99)) >= 98);
  await page.mouse.move(box.x + 0.4 * box.width, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.6 * box.width, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.evaluate(DRAWN);
  const zoomed = [await at(0.02), await at(0.98)];
  assert.ok(zoomed[0] >= 39 && zoomed[1] <= 61, zoomed.join());
  await page.evaluate('for (let step = 101; step <= 200; step++) a.append(step, step)');
  await page.evaluate(DRAWN);
  assert.equal([await at(0.02), await at(0.98)], zoomed);
  await page.mouse.dblclick(box.x + 0.5 * box.width, box.y + 20);
  await page.evaluate(DRAWN);
  assert.ok((await at(0.98)) >= 190);
  await page.evaluate('a.append(400, 1)');
  await page.evaluate(DRAWN);
  assert.is(await at(0.995), 400, 'what comes is in sight again');
});

inBrowser('all parts, light and dark, wide and narrow', async () => {
  await using opened = await open();
  const { page } = opened;
  await page.evaluate(`{
    const { Curves, Figures, Gallery, Table, domOf, settings } = entry;
    const main = document.querySelector('main');
    const figures = (globalThis.figures = new Figures());
    figures.show([['loss', 'training loss', '0.4103'], ['held', 'held-out loss', '0.4361'], ['rate', 'images per second', '812'], ['memory', 'device memory', '113 MiB']].map(([key, label, value]) => ({ key, label, value })));
    const runs = new Curves({ title: 'Held-out loss', sync: 'x' });
    const random = (i) => ((Math.sin(i * 12.9898) * 43758.5453) % 1 + 1) % 1;
    for (let run = 0; run < 3; run++) {
      const curve = runs.curve(String(run), { name: 'runs/with-a-name-' + run, kind: 'smooth' });
      for (let step = 1; step <= 400 + 150 * run; step++) curve.append(step * (run + 1), 1.6 * Math.exp(-step / (60 + 20 * run)) + 0.4 + 0.08 * random(step + run));
    }
    const flat = new Curves({ title: 'images per second', sync: 'x', height: 160 });
    const rate = flat.curve('r', { name: 'this run' });
    for (let step = 1; step <= 900; step++) rate.append(step, 6.4 + (step % 2) * 1e-7);
    const lr = new Curves({ title: 'learning rate', sync: 'x', height: 160, linear: true });
    const line = lr.curve('l', { name: 'this run' });
    for (let step = 1; step <= 900; step++) line.append(step, 1.5e-4 * Math.sin(step / 300));
    const table = new Table([{ label: 'kernel' }, { label: 'ms', numeric: true, bar: true }]);
    table.show([['gemm', { text: '30.00', value: 30 }], ['attention', { text: '12.00', value: 12 }], ['adamw', { text: '100.00', value: 4 }]]);
    const gallery = (globalThis.gallery = new Gallery());
    const canvas = (shade) => { const c = document.createElement('canvas'); c.width = 32; c.height = 104; const g = c.getContext('2d');
      for (let i = 0; i < 3; i++) { g.fillStyle = 'hsl(' + (shade * 20 + i * 90) + ' 50% 50%)'; g.fillRect(0, i * 36, 32, 32); } return c; };
    gallery.fix([{ label: 'original', canvas: canvas(0) }, { label: 'masked', canvas: canvas(1) }]);
    for (let i = 0; i <= 14; i++) gallery.add(String(i), { label: i ? 'epoch ' + i : 'untrained', canvas: canvas(i) });
    main.append(figures.element, runs.element, flat.element, lr.element, gallery.element, table.element,
      domOf(settings([['model', 'mae_vit_tiny_patch16'], ['data_path', '/a/very/long/path/to/some/images']])));
  }`);
  await page.evaluate(DRAWN);
  const cells = page.locator('tbody td:first-child');
  await page.getByRole('button', { name: 'ms' }).click();
  assert.equal(await cells.allTextContents(), ['gemm', 'attention', 'adamw']);
  await page.getByRole('button', { name: 'ms' }).click();
  assert.equal(await cells.allTextContents(), ['adamw', 'attention', 'gemm']);
  assert.is(await page.locator('th').nth(1).getAttribute('aria-sort'), 'ascending');

  // The newest picture is in sight, and so are the fixed ones.
  const inSight = (label: string) =>
    page.getByText(label, { exact: true }).evaluate((e) => {
      const { left, right } = (
        e as unknown as { getBoundingClientRect(): { left: number; right: number } }
      ).getBoundingClientRect();
      return left >= 0 && right <= 960;
    });
  for (const label of ['original', 'masked', 'epoch 14']) assert.ok(await inSight(label), label);

  await page.evaluate(
    `figures.show([{ key: 'rate', label: 'images per second', value: '815' }, { key: 'new', label: 'new', value: '1' }])`,
  );
  assert.equal(await page.locator('.figures dd').allTextContents(), ['815', '1']);

  const shots = new Set<string>();
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [390, 1440]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(DRAWN);
      await page.evaluate(DRAWN);
      shots.add((await keep(page, `parts-${width}-${colorScheme}`)).toString('base64'));
      assert.is(await page.evaluate('document.documentElement.scrollWidth'), width, 'nothing hangs over the edge');
    }
  assert.is(shots.size, 4);
});

test.run();
