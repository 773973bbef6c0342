// A kept run of `bench gpu` as a section of the page, and as dots of its plot: what the card does, and PyTorch on the same card.
import type { Dot, Peer } from '../plot.ts';
import { earlierText } from './earlier.ts';
import { type Report, type Row, rowsOf } from './report.ts';

/** PyTorch's ways of computing, as its rows name them: what f32 is held against, then f16. */
export const RIVALS: readonly Peer[] = [
  { name: 'torch fp32', colour: '#1f77b4', shape: 'circle' },
  { name: 'torch tf32', colour: '#2ca02c', shape: 'circle' },
  { name: 'torch bf16', colour: '#d62728', shape: 'circle' },
  { name: 'torch bf16 compiled', colour: '#9467bd', shape: 'diamond' },
  { name: 'torch bf16 compiled, graphs', colour: '#8c564b', shape: 'diamond' },
];
const F32 = ['torch fp32', 'torch tf32'];
const F16 = ['torch bf16', 'torch bf16 compiled'];
/** The compiler's own remedy where the host cannot keep up. */
const GRAPHS = 'torch bf16 compiled, graphs';

const is = (mode: unknown, half: boolean): boolean => String(mode).endsWith(half ? ' f16' : ' f32');
const best = (rows: readonly Row[], half: boolean): Row | undefined =>
  rows.filter(({ mode, ms }) => is(mode, half) && ms).sort((a, b) => Number(a.ms) - Number(b.ms))[0];
const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
/** A table without the columns that have nothing to say. */
function table(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const said = head.map((_, i) => body.some((cells) => cells[i] !== ''));
  const kept = (cells: readonly string[]): string[] => cells.filter((_, i) => said[i]);
  const rule = kept(head.map((_, i) => (i ? '---:' : '---')));
  return body.length ? [line(kept(head)), line(rule), ...body.map((cells) => line(kept(cells))), ''] : [];
}
const few = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Rows of one thing, ours and PyTorch's, in the order in which they were measured. */
function grouped(report: Report, kind: string, keys: readonly string[]): { ours: Row[]; torch: Row[] }[] {
  const keyOf = (row: Row): string => keys.map((key) => row[key]).join(', ');
  const mine = rowsOf(report, kind).filter(({ mode }) => !String(mode).includes('unchecked'));
  const theirs = rowsOf(report, 'torch');
  return [...new Set(mine.map(keyOf))].map((key) => ({
    ours: mine.filter((row) => keyOf(row) === key),
    torch: theirs.filter((row) => keyOf(row) === key && row.ms),
  }));
}

const tera = (row: Row | undefined, flops: number): string => (row?.ms ? few(flops / Number(row.ms) / 1e9) : '');
const found = (rows: readonly Row[], mode: string): Row | undefined => rows.find((row) => row.mode === mode);

export function gpuSection(report: Report): string {
  const { nvidia, machine, adapter, clocks, torch } = report.conditions as {
    nvidia?: { before: Record<string, string> | null };
    machine: Record<string, unknown>;
    adapter?: Row;
    clocks?: string;
    torch?: string;
  };
  const card = nvidia?.before;
  const ceilings: Record<string, number> = {};
  for (const { what, rate } of rowsOf(report, 'ceilings'))
    ceilings[String(what)] = Math.max(ceilings[String(what)] ?? 0, Number(rate));
  const most = Object.entries(ceilings).map(([what, rate]) =>
    what === 'copy' ? `copies ${few(rate)} GB/s` : `${what} ${few(rate / 1000)} TFLOP/s`,
  );
  return [
    `### ${card?.name ?? adapter?.description}`,
    '',
    `Driver ${card?.driver_version ?? 'unknown'}, clocks ${clocks ?? 'as the driver sets them'}; Dawn ${machine.webgpu}, Node ${machine.node}, ${machine.cpu}; PyTorch ${torch ?? 'not there'}; ${report.began.slice(0, 10)}: \`tesserae bench gpu\`. At best the card did, measured in the same run: ${most.join(', ')}.`,
    '',
    ...stepTable(report),
    ...ratioTable(report),
    ...[flatness(report), earlierText(report)].flatMap((text) => (text ? [text, ''] : [])),
    ...productTable(report),
    ...streamTable(report),
  ].join('\n');
}

/** A model at a batch with everything that was measured of it. */
const stepsIn = (report: Report) =>
  grouped(report, 'step', ['model', 'batch']).flatMap(({ ours, torch }) => {
    const [full, half] = [best(ours, false), best(ours, true)];
    const [{ model, batch }] = ours;
    const unchecked = rowsOf(report, 'step').find(
      (row) =>
        row.model === model &&
        row.batch === batch &&
        is(String(row.mode).replace(' unchecked', ''), true) &&
        String(row.mode).includes('unchecked') &&
        row.ms,
    );
    return full || half
      ? [{ name: `${model}, batch ${batch}`, full, half, unchecked, of: (mode: string) => found(torch, mode) }]
      : [];
  });

function stepTable(report: Report): string[] {
  const rate = (row: Row | undefined): string => (row?.images_per_s ? few(Number(row.images_per_s)) : '');
  const body = stepsIn(report).map(({ name, full, half, unchecked, of }) => [
    name,
    ...[full, ...F32.map(of), half, unchecked, ...F16.map(of), of(GRAPHS)].map(rate),
  ]);
  const head = [
    'training step, images/s',
    'ours, f32',
    'fp32',
    'TF32',
    'ours, f16',
    'unchecked',
    'bf16',
    'compiled',
    'with graphs',
  ];
  return table(head, body);
}

/** PyTorch's time over ours, and the bytes of both. */
function ratioTable(report: Report): string[] {
  const ratio = (own: Row | undefined, other: Row | undefined): string =>
    own && other ? few(Number(other.ms) / Number(own.ms)) : '';
  const memory = (row: Row | undefined): string => (row?.peak_bytes ? few(Number(row.peak_bytes) / 2 ** 30) : '');
  const [fp32, tf32] = F32;
  const [bf16, compiled] = F16;
  const body = stepsIn(report).flatMap(({ name, full, half, of }) => {
    const ratios = [
      ratio(full, of(fp32)),
      ratio(full, of(tf32)),
      ...[tf32, bf16, compiled].map((mode) => ratio(half, of(mode))),
    ];
    const bytes = [memory(full), memory(of(fp32)), memory(half), ...F16.map((mode) => memory(of(mode)))];
    return ratios.some(Boolean) ? [[name, ...ratios, ...bytes]] : [];
  });
  const head = [
    "PyTorch's time over ours",
    'f32, fp32',
    'f32, TF32',
    'f16, TF32',
    'f16, bf16',
    'f16, compiled',
    'GiB, f32',
    'fp32',
    'GiB, f16',
    'bf16',
    'compiled',
  ];
  return table(head, body);
}

/** Time of one image of the model with most batches, and how far the slowest is above the fastest; null where there is one batch alone. */
export function flatness(report: Report): string | null {
  const lines = ['f16', 'f32'].flatMap((precision) => {
    const rows = rowsOf(report, 'step').filter(({ mode, ms }) => ms && String(mode).endsWith(` ${precision}`));
    const [model] = rows.map(({ model }) => model);
    const mine = rows.filter((row) => row.model === model).sort((a, b) => Number(a.batch) - Number(b.batch));
    const each = mine.map(({ ms, batch }) => Number(ms) / Number(batch));
    if (each.length < 2) return [];
    const parts = mine.map(({ batch }, i) => `${each[i].toFixed(3)} at batch ${batch}`);
    const above = Math.max(...each) / Math.min(...each) - 1;
    return [
      `${model} in ${precision}: ${parts.join(', ')} (the slowest ${(100 * above).toFixed(0)} % above the fastest)`,
    ];
  });
  return lines.length ? `Milliseconds an image, ${lines.join('; ')}.` : null;
}

function productTable(report: Report): string[] {
  const body = grouped(report, 'kernels', ['what', 'shape']).flatMap(({ ours, torch }) => {
    const [{ what, shape }] = ours;
    const [full, half] = [best(ours, false), best(ours, true)];
    if (!/^(gemm|attention)/.test(String(what)) || (!full && !half)) return [];
    const flops = Number((full ?? half)?.flops);
    const cells = [full, ...F32.map((m) => found(torch, m)), half, found(torch, F16[0])].map((row) => tera(row, flops));
    const ratio = half && found(torch, F16[0]) ? few(Number(found(torch, F16[0])?.ms) / Number(half.ms)) : '';
    return [[`${what} ${shape}`, ...cells, ratio]];
  });
  return table(['TFLOP/s', 'ours, f32', 'fp32', 'TF32', 'ours, f16', 'bf16', 'ours / bf16'], body);
}

const percent = (part: number): string => `${(100 * part).toFixed(0)} %`;

/** Beside the best copy, of a gigabyte, one of as many bytes: a short call is in part its own beginning and end. */
function streamTable(report: Report): string[] {
  const rate = (row: Row | undefined): string =>
    row ? `${few(Number(row.gb_s))} GB/s, ${percent(Number(row.share))}` : '';
  const ofCopy = (row: Row | undefined): string => (row?.copy_ms ? percent(Number(row.copy_ms) / Number(row.ms)) : '');
  const body = grouped(report, 'kernels', ['what', 'shape']).flatMap(({ ours }) => {
    const [{ what, shape }] = ours;
    if (/^(gemm|attention)/.test(String(what)) || !ours.some(({ ms }) => ms)) return [];
    const [full, half] = [best(ours, false), best(ours, true)];
    return [[`${what} ${shape}`, rate(full), ofCopy(full), rate(half), ofCopy(half)]];
  });
  const copy = 'share of a copy of that size';
  return table(['what moves memory', 'f32, share of the best copy', copy, 'f16', copy], body);
}

/** PyTorch's time over ours, f32 beside fp32 and TF32, f16 beside bf16. Of products those at the compared batch: the table has all. */
export function gpuDots(report: Report): Dot[] {
  const of = (kind: string, keys: readonly string[], name: (row: Row) => string): Dot[] =>
    grouped(report, kind, keys).flatMap(({ ours, torch }) =>
      [F32, [...F16, GRAPHS]].flatMap((rivals, half) =>
        rivals.flatMap((peer) => {
          const [own, other] = [best(ours, half === 1), found(torch, peer)];
          if (!own || !other) return [];
          const group = half ? 'f16, beside bf16' : 'f32, beside fp32 and TF32';
          return [{ group, piece: name(own), peer, ratio: Number(other.ms) / Number(own.ms) }];
        }),
      ),
    );
  return [
    ...of('step', ['model', 'batch'], ({ model, batch }) => `step, ${model}, batch ${batch}`),
    ...of('kernels', ['what', 'shape'], ({ what, shape }) =>
      // A product goes by the name of its layer, not by its sizes; all of attention is of the same batch.
      String(what).startsWith('gemm')
        ? `${what}, ${String(shape).split(', ')[0]}`
        : `${what}, ${String(shape).replace(/^\d+ x /, '')}`,
    ).filter(({ piece }) => !/ b(64|512)$/.test(piece)),
  ];
}
