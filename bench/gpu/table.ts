// The report as Markdown, with every kernel held against the ceilings and beside PyTorch.
import { earlierText } from './earlier.ts';
import { type Report, type Row, rowsOf, type Value } from './report.ts';
import { flatness } from './section.ts';

type Ceilings = Readonly<Record<string, number>>;

/** The best rate of every kind of probe: GB/s or GFLOP/s. */
function ceilingsOf(report: Report): Ceilings {
  const best: Record<string, number> = {};
  for (const { what, rate } of rowsOf(report, 'ceilings'))
    best[String(what)] = Math.max(best[String(what)] ?? 0, Number(rate));
  return best;
}

/** Share of what the device could do at best: its floor in time, by arithmetic or by bytes, over the time that was taken. */
function share(row: Row, ceilings: Ceilings): { share: number; bound: string } | null {
  const arithmetic =
    String(row.mode).startsWith('matrix') && /gemm|attention/.test(String(row.what ?? row.kernel))
      ? 'matrix f16'
      : 'fma f32';
  const [rate, copy, ms] = [ceilings[arithmetic], ceilings.copy, Number(row.ms)];
  if (!rate || !copy || !ms) return null;
  const floors = { [arithmetic]: Number(row.flops) / rate / 1e6, copy: Number(row.bytes) / copy / 1e6 };
  const [bound, floor] = Object.entries(floors).sort((a, b) => b[1] - a[1])[0];
  return { share: floor / ms, bound };
}

/** The report with the share of the ceiling in every row that has a time. */
export function withShares(report: Report): Report {
  const ceilings = ceilingsOf(report);
  const parts = report.parts.map((part) =>
    part.kind === 'kernels' || part.kind === 'profile'
      ? { ...part, rows: part.rows.map((row) => ({ ...row, ...share(row, ceilings) })) }
      : part,
  );
  return { ...report, parts };
}

const cell = (value: Value | undefined, digits = 1): string => {
  if (typeof value !== 'number') return value === null || value === undefined ? '' : String(value);
  const size = Math.abs(value);
  return size >= 1000 ? value.toFixed(0) : size >= 1 || size === 0 ? value.toFixed(digits) : value.toPrecision(2);
};

const per = (value: number): string => `${(100 * value).toFixed(0)} %`;
const times = (value: number): string => `${value.toFixed(2)}x`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text) => text.replaceAll('|', '/').replaceAll('\n', ' ')).join(' | ')} |`;
  return rows.length ? [line(head), line(head.map(() => '---')), ...rows.map(line), ''] : [];
}

/** What our mode is held against: full precision beside full precision, half beside half. */
const rivals = (mode: string): readonly string[] =>
  mode.endsWith('f32')
    ? ['torch fp32', 'torch tf32']
    : ['torch tf32', 'torch bf16', 'torch bf16 compiled', 'torch bf16 compiled, graphs'];

const same = (a: Row, b: Row, keys: readonly string[]): boolean => keys.every((key) => a[key] === b[key]);

/** PyTorch's time over ours, for every rival that was measured at the same shape. */
function ratios(row: Row, torch: readonly Row[], keys: readonly string[]): string {
  const mode = String(row.mode).replace(' unchecked', '');
  return rivals(mode)
    .flatMap((rival) => {
      const found = torch.find((t) => t.mode === rival && same(t, row, keys) && t.ms);
      return found && row.ms ? [`${times(Number(found.ms) / Number(row.ms))} ${rival.replace('torch ', '')}`] : [];
    })
    .join(', ');
}

function conditionLines(report: Report): string[] {
  const { adapter, nvidia, machine, torch } = report.conditions as {
    adapter?: Row;
    nvidia?: { before: Record<string, string> | null };
    machine: Record<string, unknown>;
    torch?: string;
  };
  const card = nvidia?.before;
  return [
    `# bench gpu: ${adapter?.description ?? 'no adapter'}`,
    '',
    `${report.began}, tesserae ${report.version}, Dawn ${machine.webgpu}, Node ${machine.node}, ${machine.cpu}` +
      `${card ? `, driver ${card.driver_version}, SM clock ${card['clocks.sm']} of ${card['clocks.max.sm']}` : ''}` +
      `${torch ? `, torch ${torch}` : ''}; ${report.seconds.toFixed(0)} s.`,
    '',
  ];
}

function checkLines(report: Report): string[] {
  const [cases, kernels] = [rowsOf(report, 'conformance'), rowsOf(report, 'tests')];
  const group = (rows: readonly Row[], of: (row: Row) => string, what: string): string[][] =>
    [...new Set(rows.map(of))].map((name) => {
      const mine = rows.filter((row) => of(row) === name);
      const wrong = mine.filter((row) => row.passed === false);
      const failures = wrong.map(
        (row) => `${row.case ?? row.kernel}: ${row.failure ?? `${row.worst} ${cell(row.error)} > ${cell(row.bound)}`}`,
      );
      const idle = mine.filter((row) => row.passed === null).length;
      return [
        what,
        name,
        String(mine.filter((row) => row.passed).length),
        String(wrong.length),
        String(idle),
        failures.join('; ').slice(0, 600),
      ];
    });
  const rows = [
    ...group(cases, (row) => `${row.profile} ${row.precision}`, 'conformance cases'),
    ...group(kernels, (row) => String(row.profile), 'kernels'),
  ];
  return table(['check', 'profile', 'passed', 'failed', 'not run', 'failures'], rows);
}

function ceilingLines(report: Report): string[] {
  const rows = rowsOf(report, 'ceilings').map((row) => [
    String(row.what),
    String(row.how),
    row.error ? `failed: ${row.error}` : `${cell(row.rate)} ${row.what === 'copy' ? 'GB/s' : 'GFLOP/s'}`,
  ]);
  return table(['ceiling', 'how', 'measured'], rows);
}

function stepLines(report: Report): string[] {
  const torch = rowsOf(report, 'torch');
  const rows = [...rowsOf(report, 'step'), ...torch.filter((row) => row.model)].map((row) => [
    String(row.model),
    String(row.batch),
    String(row.mode),
    row.error ? String(row.error) : cell(row.ms, 2),
    cell(row.images_per_s),
    row.gflop && row.ms ? cell(Number(row.gflop) / Number(row.ms)) : '',
    cell(row.host_ms, 2),
    row.peak_bytes ? cell(Number(row.peak_bytes) / 2 ** 30, 2) : '',
    String(row.mode).startsWith('torch') ? '' : ratios(row, torch, ['model', 'batch']),
  ]);
  const said = [flatness(report), earlierText(report)].flatMap((text) => (text ? [text, ''] : []));
  return [
    ...table(['step', 'batch', 'mode', 'ms', 'images/s', 'TFLOP/s', 'host ms', 'GiB', 'torch / ours'], rows),
    ...said,
  ];
}

function kernelLines(report: Report): string[] {
  const torch = rowsOf(report, 'torch');
  const rows = rowsOf(withShares(report), 'kernels').map((row) => [
    String(row.what),
    String(row.shape),
    String(row.mode),
    row.error ? String(row.error) : cell(row.ms, 3),
    row.flops ? cell(row.gflop_s) : '',
    cell(row.gb_s),
    row.share ? `${per(Number(row.share))} of ${row.bound}` : '',
    row.copy_ms && row.ms ? per(Number(row.copy_ms) / Number(row.ms)) : '',
    ratios(row, torch, ['what', 'shape']),
  ]);
  const head = ['kernel', 'shape', 'mode', 'ms', 'GFLOP/s', 'GB/s', 'of the ceiling', 'of a copy of that size'];
  return table([...head, 'torch / ours'], rows);
}

/** The calls that make up most of a step, for every mode. */
const MOST = 12;

function profileLines(report: Report): string[] {
  const all = rowsOf(withShares(report), 'profile');
  const cost = (row: Row): number => Number(row.ms) * Number(row.count);
  const rows = [...new Set(all.map((row) => row.mode))].flatMap((mode) => {
    const mine = all.filter((row) => row.mode === mode).sort((a, b) => cost(b) - cost(a));
    const total = mine.reduce((sum, row) => sum + cost(row), 0);
    return mine
      .slice(0, MOST)
      .map((row) => [
        String(mode),
        per(cost(row) / total),
        cell(cost(row), 2),
        String(row.count),
        `${row.kernel} ${row.problem}`,
        row.share ? `${per(Number(row.share))} of ${row.bound}` : '',
      ]);
  });
  const [first] = all;
  const head = first ? `share of ${first.model} b${first.batch}` : '';
  return table(['mode', head, 'ms', 'calls', 'kernel', 'of the ceiling'], rows);
}

const problemLines = (report: Report): string[] =>
  table(
    ['part', 'ended', 'why'],
    report.parts.filter(({ status }) => status !== 'ok').map(({ name, status, error }) => [name, status, error ?? '']),
  );

export function markdown(report: Report): string {
  const sections = [conditionLines, checkLines, ceilingLines, stepLines, kernelLines, profileLines, problemLines];
  return sections.flatMap((section) => section(report)).join('\n');
}
