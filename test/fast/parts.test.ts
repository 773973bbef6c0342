// What pages are made of, as far as it needs no page: markup that never lets text become markup, labels of axes, series that grow for ever.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { h, htmlOf } from '../../mae/web/parts/markup.ts';
import { axisLabels, short } from '../../mae/web/parts/numbers.ts';
import { figures, table } from '../../mae/web/parts/pieces.ts';
import { smooth } from '../../mae/pictures/smooth.ts';
import { Series } from '../../mae/web/parts/series.ts';
import { strokeOf, strokeStyle } from '../../mae/web/parts/stroke.ts';
import { random } from '../../kernels/random/random.ts';

test('text in markup stays text, in elements and in attributes', () => {
  const evil = `<script>alert("1")</script>'&`;
  const html = htmlOf(h('p', { title: evil, hidden: null, open: '' }, evil, h('br', {})));
  assert.is(html.match(/</g)?.length, 3, html);
  assert.ok(html.startsWith('<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;" open>'), html);
  assert.match(htmlOf(figures([{ key: 'a', label: evil, value: evil }])), /<dd>&lt;script/);
  const rows = table(
    [{ label: 'x' }, { label: 'n', numeric: true, bar: true }],
    [
      [evil, { text: '2', value: 2 }],
      ['b', { text: '1', value: 1 }],
    ],
  );
  assert.match(htmlOf(rows), /--part:50\.0%">1<\/td>/);
});

test('of 24 lines no two are drawn alike, and the first six are whole', () => {
  const styles = Array.from({ length: 24 }, (_, i) => strokeStyle(strokeOf(i)));
  assert.is(new Set(styles).size, 24);
  assert.is(new Set(Array.from({ length: 24 }, (_, i) => JSON.stringify(strokeOf(i)))).size, 24);
  for (const [i, style] of styles.entries()) assert.is(style.includes('gradient'), i >= 6, style);
});

test('labels of an axis have the decimals that its steps need, and no more', () => {
  assert.equal(axisLabels([6.3, 6.4, 6.5]), ['6.3', '6.4', '6.5']);
  assert.equal(axisLabels([0, 2.5, 5, 7.5]), ['0.0', '2.5', '5.0', '7.5']);
  assert.equal(axisLabels([0, 100, 200]), ['0', '100', '200']);
  assert.equal(axisLabels([0, 5000, 10_000, 15_000]), ['0', '5k', '10k', '15k']);
  assert.equal(axisLabels([0, 1e6, 2.5e6]), ['0', '1M', '2.5M']);
  assert.equal(axisLabels([0, 5e-5, 1e-4]), ['0', '5e-5', '1e-4']);
  assert.equal(axisLabels([6.4]), ['6.4']);
  assert.equal(axisLabels([10, 100, 1000]), ['10', '100', '1000']);
  assert.equal(axisLabels([-0.25, 0, 0.25]), ['-0.25', '0.00', '0.25']);
});

test('numbers of a legend are short and true', () => {
  const shown = [0.41034, 12.344, 123.44, 1234.5, 1.5e-4, 1e-10, 2e8, 0, Number.NaN].map(short);
  assert.equal(shown, ['0.4103', '12.34', '123.4', '1,235', '1.5e-4', '1e-10', '2e8', '0.0000', 'NaN']);
});

test('a series of any length keeps its mean, its order and a bounded size; the last value stays as it was given', () => {
  const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
  const rng = random(seed);
  for (const count of [1, 3999, 4001, 50_000 + rng.below(5000)]) {
    const series = new Series();
    const given: number[] = [];
    for (let i = 0; i < count; i++) {
      given.push(rng.uniform());
      series.append(i, given[i]);
    }
    assert.ok(
      series.x.length <= 4000 && series.x.length >= Math.min(count, 2000),
      `seed ${seed}: ${series.x.length} of ${count}`,
    );
    assert.ok(series.x.every((x, i) => i === 0 || x > series.x[i - 1]));
    assert.equal(series.last, { x: count - 1, y: given[count - 1] });
    const covered = series.x.length * series.each;
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    assert.ok(covered > count - series.each && covered <= count, `seed ${seed}: ${covered} of ${count} are shown`);
    assert.ok(Math.abs(mean(series.y) - mean(given.slice(0, covered))) < 1e-9, `seed ${seed}`);
  }
  const gaps = new Series();
  gaps.append(1, Number.NaN);
  assert.equal([gaps.x.length, gaps.last?.x], [0, 1]);
});

test('a moving average is that of the window, narrower at the beginning; one wild value at the end does not bend it', () => {
  assert.equal(smooth([]), []);
  assert.equal(smooth([2]), [2]);
  assert.equal(smooth([3, 0, 6]), [3, 3, 4.5]);
  const ramp = Array.from({ length: 200 }, (_, i) => i);
  for (const [i, value] of smooth(ramp).entries()) assert.ok(Math.abs(value - i) < 1e-9);
  const wild = smooth(ramp.map((i) => (i === 199 ? 0 : 200)));
  assert.ok(
    wild.every((value) => value > 100),
    String(wild.slice(-5)),
  );
});

test.run();
