// report.html: everything of a run on one page that needs nothing beside it.
import { bytesText } from '../bytes.ts';
import { duration } from '../durations.ts';
import type { Chart } from './charts.ts';
import type { RunFolder } from './gather.ts';

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const text = (value: unknown): string => String(value).replace(/[&<>"']/g, (c) => escapes[c]);
const png = (bytes: Uint8Array): string => `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;

/** Epochs that stand side by side. */
const MOST_PICTURES = 9;

export function page(run: RunFolder, curves: readonly Chart[]): string {
  const { name, facts } = run;
  const [loss, ...others] = curves;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(name)} - Tesserae</title><style>${STYLE}</style></head><body><main>
<header><p class="kind">${facts ? text(facts.command) : 'run'}</p><h1>${text(name)}</h1><p>${text(summary(run))}</p></header>
<section class="tiles">${figures(run)
    .map(([what, value]) => `<div><b>${text(value)}</b><span>${text(what)}</span></div>`)
    .join('')}</section>
<section><h2>Loss</h2><div class="chart">${loss.svg}</div></section>
${pictures(run)}
${others.length ? `<section><h2>Curves</h2><div class="grid">${others.map(({ svg }) => `<div class="chart">${svg}</div>`).join('')}</div></section>` : ''}
${kernels(run)}
${options(run)}
</main></body></html>
`;
}

/** A sentence: where the run stands. */
function summary({ epochs, facts }: RunFolder): string {
  const done = epochs.length ? (epochs.at(-1)?.epoch ?? 0) : -1;
  const planned = Number(facts?.options.epochs);
  const of = planned ? ` of ${planned}` : '';
  const where = facts
    ? `; ${facts.adapter}, profile ${facts.profile}, ${facts.precision}; Tesserae ${facts.tesserae}`
    : '';
  return `${done + 1}${of} epochs${where}`;
}

function figures({ metrics, epochs, facts }: RunFolder): [string, string][] {
  const steps = metrics.filter((line) => 'loss' in line);
  const heldout = metrics.filter((line) => 'heldout_loss' in line);
  const judged = metrics.flatMap((line) => ('test_acc1' in line ? [line.test_acc1] : []));
  const rows: [string, string][] = [];
  const add = (what: string, value: string | undefined): void => void (value !== undefined && rows.push([what, value]));
  add('training loss, last epoch', epochs.at(-1)?.train_loss?.toFixed(4));
  const untrained = heldout.at(-1)?.step === 0;
  add(untrained ? 'held-out loss before training' : 'held-out loss', heldout.at(-1)?.heldout_loss.toFixed(4));
  add('before training', heldout.length > 1 ? heldout[0].heldout_loss.toFixed(4) : undefined);
  const last = judged.at(-1);
  const best = Math.max(...judged);
  add('validation top-1', last !== undefined ? `${last.toFixed(2)} %` : undefined);
  add('the best before', last !== undefined && best > last ? `${best.toFixed(2)} %` : undefined);
  add('optimizer steps', String(steps.at(-1)?.step ?? 0));
  const pace = steps.at(-1)?.images_per_s;
  add('images per second', pace?.toFixed(pace < 10 ? 1 : 0));
  if (facts) {
    add('parameters', `${(facts.parameters / 1e6).toFixed(2)} M`);
    add('images', String(facts.images));
    if (facts.step) add('GPU memory', bytesText(facts.step.gpuBytes));
    if (pace && steps.length)
      add('an epoch takes', duration((facts.stepsPerEpoch * imagesAStep(facts.options)) / pace));
  }
  return rows;
}

const imagesAStep = ({ batch_size, accum_iter }: Readonly<Record<string, unknown>>): number =>
  Number(batch_size) * Number(accum_iter ?? 1);

function pictures({ pictures: all, shown }: RunFolder): string {
  if (!shown || !all.length) return '';
  const count = Math.min(MOST_PICTURES, all.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => all[count === 1 ? 0 : Math.round((i * (all.length - 1)) / (count - 1))],
  );
  const strip = (label: string, bytes: Uint8Array): string =>
    `<figure><img alt="${text(label)}" src="${png(bytes)}"><figcaption>${text(label)}</figcaption></figure>`;
  const through = chosen.map(({ epoch, png: bytes }) => strip(epoch ? `epoch ${epoch}` : 'untrained', bytes));
  return `<section><h2>Reconstructions through time</h2><p>The same images under the same masks; removed patches are the model's, the others the image's own.</p>
<div class="strip">${strip('original', shown.original)}${strip('masked', shown.masked)}${through.join('')}</div></section>`;
}

function kernels({ facts }: RunFolder): string {
  if (!facts?.step) return '';
  const { kernels: rows, byWaiting } = facts.step;
  const all = rows.reduce((sum, { ms }) => sum + ms, 0);
  const rate = (amount: number, ms: number): string => (amount && ms ? (amount / ms / 1e6).toFixed(1) : '');
  const body = rows
    .map(
      ({ kernel, calls, ms, flops, bytes }) =>
        `<tr><td>${text(kernel)}</td><td>${calls}</td><td>${ms.toFixed(2)}</td><td>${((100 * ms) / all).toFixed(1)} %</td><td>${rate(flops, ms)}</td><td>${rate(bytes, ms)}</td></tr>`,
    )
    .join('');
  const how = byWaiting
    ? 'each kernel was submitted alone and waited for, for want of timestamps'
    : 'by timestamps of the device, each kernel in a pass of its own';
  return `<section><h2>Kernels of one step</h2><p>${all.toFixed(1)} ms in all, ${how}.</p><div class="wide"><table class="numbers">
<thead><tr><th>kernel</th><th>calls</th><th>ms</th><th>share</th><th>GFLOP/s</th><th>GB/s</th></tr></thead><tbody>${body}</tbody></table></div></section>`;
}

function options({ facts, path }: RunFolder): string {
  if (!facts) return '';
  const rows = Object.entries(facts.options)
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(
      ([key, value]) =>
        `<div><dt>${text(key)}</dt><dd>${text(Array.isArray(value) ? value.join(' x ') : value)}</dd></div>`,
    )
    .join('');
  return `<section><h2>Settings</h2><dl>${rows}</dl>
<p>Node ${text(facts.node)}, begun ${text(facts.began)}, in ${text(path)}.</p></section>`;
}

const STYLE = `
:root{color-scheme:light dark;--ink:#24242a;--faint:#6b6b76;--page:#f6f6f8;--card:#fff;--line:#e2e2e8}
@media (prefers-color-scheme:dark){:root{--ink:#ececf1;--faint:#a2a2ae;--page:#17171b;--card:#212127;--line:#34343d}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"DejaVu Sans",sans-serif}
main{max-width:1000px;margin:0 auto;padding:32px 20px 64px}
h1{margin:0;font-size:28px;overflow-wrap:anywhere}h2{margin:40px 0 12px;font-size:18px}
p{margin:4px 0 12px;color:var(--faint)}.kind{margin:0;font-size:13px;letter-spacing:.04em}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px;margin-top:20px}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
.tiles b{display:block;font-size:20px;font-variant-numeric:tabular-nums}.tiles span{color:var(--faint);font-size:13px}
.chart{background:#fff;border:1px solid var(--line);border-radius:8px;padding:4px;overflow-x:auto}
.chart svg{display:block;max-width:100%;height:auto;margin:0 auto}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:12px}
.strip{display:flex;gap:6px;overflow-x:auto;padding-bottom:8px}
figure{margin:0;flex:1 1 0;min-width:72px;max-width:224px}figure img{display:block;width:100%;border-radius:3px}
figcaption{text-align:center;font-size:12px;color:var(--faint);padding-top:4px}
dl{margin:0;columns:3 260px;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 14px;font-size:14px}
dl div{display:flex;gap:10px;break-inside:avoid}dt{flex:0 0 130px}dd{margin:0;overflow-wrap:anywhere;min-width:0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:14px;background:var(--card);border:1px solid var(--line)}
td,th{padding:4px 12px;border-bottom:1px solid var(--line);text-align:left;font-weight:normal}
thead th,dt{color:var(--faint)}td{white-space:nowrap}
.numbers td:not(:first-child),.numbers th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}
`;
