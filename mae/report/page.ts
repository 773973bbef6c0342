// report.html: everything of a run on one page that needs nothing beside it. Without scripts its curves are pictures.
import type { Bundle } from '../bundle.ts';
import { type Child, escaped, h, htmlOf, type Markup } from '../web/parts/markup.ts';
import { figures, gallery, settings, type Shot, table } from '../web/parts/pieces.ts';
import type { Chart } from './charts.ts';
import type { RunFolder } from './gather.ts';
import { Metrics } from './metrics.ts';
import { type Course, figuresOf, KERNEL_COLUMNS, kernelsOf, settingsOf, summary } from './say.ts';

const png = (bytes: Uint8Array): string => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;

/** Epochs that stand side by side. */
const MOST_PICTURES = 9;

export function page(run: RunFolder, curves: readonly Chart[], { script, style }: Bundle): string {
  const { name, facts } = run;
  const course = courseOf(run);
  const head = h(
    'header',
    { class: 'head' },
    h('p', { class: 'kind faint' }, facts?.command ?? 'run'),
    h('div', { class: 'title' }, h('h1', {}, name)),
    h('p', { class: 'said faint' }, summary(course)),
  );
  const [loss, ...others] = curves;
  const parts = (list: readonly (Markup | null)[]): string =>
    list.flatMap((part) => (part ? [htmlOf(part)] : [])).join('\n');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(name)} - Tesserae</title><style>${style}</style></head><body><main>
${[head, figures(figuresOf(course))].map(htmlOf).join('\n')}
<div class="charts first">${drawn(loss)}</div>
${parts([pictures(run)])}
${others.length ? `<section><h2>Curves</h2><div class="charts">${others.map(drawn).join('')}</div></section>` : ''}
${parts([kernels(run), options(run)])}
</main>
<script type="application/json" id="run">${inScript(JSON.stringify({ name, ...shown(course) }))}</script>
<script type="module">${script.replaceAll('</script', '<\\/script')}</script></body></html>
`;
}

/** The run's numbers by metric, as far as curves can tell them apart. */
function courseOf({ facts, epochs, metrics }: RunFolder): Course {
  const by = new Metrics();
  for (const line of metrics) by.add(line);
  return { facts, epochs, metrics: by.data };
}

/** What the script needs of it, with as many digits as a canvas shows. */
function shown({ facts, metrics }: Course): Course {
  const short = (values: readonly number[]): number[] => values.map((value) => Number(value.toPrecision(6)));
  const rounded = Object.entries(metrics).map(([name, { x, y, ...rest }]) => [name, { x, y: short(y), ...rest }]);
  // Of the facts only what names the loss: the others are on the page, and paths are nobody's business twice.
  const { command, options, stepsPerEpoch } = facts ?? {};
  const said = facts && { command, stepsPerEpoch, options: { objective: options?.objective, loss: options?.loss } };
  return { facts: said as Course['facts'], epochs: [], metrics: Object.fromEntries(rounded) };
}

/** JSON that no text in it can end. */
const inScript = (json: string): string => json.replaceAll('<', '\\u003c');

/** Colours of a chart's file, by the theme's. */
const TOKENS: Readonly<Record<string, string>> = {
  '#24242a': 'var(--ink)',
  '#62626c': 'var(--faint)',
  '#9a9aa3': 'var(--faint)',
  '#e6e6ea': 'var(--line)',
  '#b9cfe4': 'color-mix(in srgb, var(--series-1) 38%, transparent)',
  '#1f5f99': 'var(--series-1)',
  '#d1602b': 'var(--series-2)',
  white: 'none',
};

/** A chart as a picture in the page's colours. */
function drawn({ name, svg }: Chart): string {
  const themed = svg.replace(/"(#[0-9a-f]{6}|white)"/gi, (said, colour: string) => {
    const token = TOKENS[colour.toLowerCase()];
    return token ? `"${token}"` : said;
  });
  return `<div class="drawn" data-metric="${escaped(name)}">${themed}</div>`;
}

const section = (title: string, note: string | null, ...children: Child[]): Markup =>
  h('section', {}, h('h2', {}, title), ...(note === null ? [] : [h('p', { class: 'faint' }, note)]), ...children);

function pictures({ pictures: all, shown }: RunFolder): Markup | null {
  if (!shown || !all.length) return null;
  const count = Math.min(MOST_PICTURES, all.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => all[count === 1 ? 0 : Math.round((i * (all.length - 1)) / (count - 1))],
  );
  const shot = (label: string, bytes: Uint8Array): Shot => ({ label, src: png(bytes) });
  const through = chosen.map(({ epoch, png: bytes }) => shot(epoch ? `epoch ${epoch}` : 'untrained', bytes));
  return section(
    'Reconstructions through time',
    "The same images under the same masks; removed patches are the model's, the others the image's own.",
    gallery([shot('original', shown.original), shot('masked', shown.masked)], through),
  );
}

function kernels({ facts }: RunFolder): Markup | null {
  const found = kernelsOf(facts);
  return found && section('Kernels of one step', found.how, table(KERNEL_COLUMNS, found.rows));
}

function options({ facts, path }: RunFolder): Markup | null {
  if (!facts) return null;
  return section('Settings', `Node ${facts.node}, begun ${facts.began}, in ${path}.`, settings(settingsOf(facts)));
}
