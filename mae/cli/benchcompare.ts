// `tesserae bench compare A B`: what became slower or faster between two results of the same bench.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import picocolors from 'picocolors';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { real } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { print } from './benchreport.ts';
import { columns, examples, type Flags, value } from './command.ts';

/** A result of any bench, as far as it can be compared. */
interface Figures {
  readonly tool: string;
  readonly adapter: string;
  /** By name; where one name occurs again, the first. */
  readonly rows: ReadonlyMap<string, { readonly ms: number; readonly spread: number }>;
}

interface Change {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  /** after / before - 1: above 0 it became slower. */
  readonly change: number;
  /** Least change that the spread of the samples does not explain. */
  readonly threshold: number;
}

/** Where a bench tells no spread. */
const UNKNOWN_SPREAD = 0.1;

type Fields = Readonly<Record<string, unknown>>;

const isFields = (x: unknown): x is Fields => typeof x === 'object' && x !== null && !Array.isArray(x);
const list = (x: unknown): Fields[] => (Array.isArray(x) ? x.filter(isFields) : []);

/** @param text JSON of bench kernels, step, infer, data, gpu or peers @throws UsageError where it is none of them */
export function figuresOf(file: string, text: string): Figures {
  let report: unknown;
  try {
    report = JSON.parse(text);
  } catch {
    misuse(`bench compare: ${file} is no JSON`);
  }
  const fields = isFields(report) ? report : {};
  const { tool, kind, conditions } = fields;
  const peers = kind === 'peers';
  if (!peers && !(typeof tool === 'string' && tool.startsWith('tesserae bench ')))
    misuse(
      `bench compare: ${file} is not a result of a bench (kernels, step, infer or data --json, gpu --output, peers)`,
    );
  const found = peers ? peerRows(fields) : tool === 'tesserae bench gpu' ? gpuRows(fields) : list(fields.rows);
  const rows = new Map<string, { ms: number; spread: number }>();
  for (const { name, ms, spread } of found) {
    if (typeof ms !== 'number' || !(ms > 0) || rows.has(String(name))) continue;
    rows.set(String(name), { ms, spread: typeof spread === 'number' && spread >= 0 ? spread : UNKNOWN_SPREAD });
  }
  if (!rows.size) misuse(`bench compare: ${file} holds no times`);
  const device = isFields(conditions) && isFields(conditions.adapter) ? conditions.adapter.description : undefined;
  const adapter = String(fields.adapter ?? device ?? 'an adapter that the file does not name');
  return { tool: peers ? 'tesserae bench peers' : String(tool), adapter, rows };
}

const peerRows = (report: Fields): Fields[] =>
  list(report.pieces).flatMap((piece) =>
    list(piece.rows).map(({ peer, ms, samples }) => {
      const times = Array.isArray(samples) && samples.length > 1 ? (samples as number[]) : null;
      const spread = times ? Math.max(...times) / Math.min(...times) - 1 : undefined;
      return { name: `${piece.name}, ${peer}`, ms, spread };
    }),
  );

/** best_ms is the fastest sample: the slowest is not told, so the median's distance stands for half of the spread. */
const gpuRows = (report: Fields): Fields[] =>
  list(report.parts).flatMap((part) =>
    list(part.rows).map((row) => {
      const words = ['what', 'shape', 'model', 'batch', 'kernel', 'problem', 'mode'].map((key) => row[key]);
      const name = [part.kind, ...words].filter((word) => word !== undefined).join(' ');
      const best = Number(row.best_ms);
      return { name, ms: row.ms, spread: row.spread ?? (best > 0 ? 2 * (Number(row.ms) / best - 1) : undefined) };
    }),
  );

/** What both have, the slowest change first. @param within the least part by which a time must change, whatever its spread */
export function changes(a: Figures, b: Figures, within: number): Change[] {
  return [...a.rows]
    .flatMap(([name, before]) => {
      const after = b.rows.get(name);
      if (!after) return [];
      const threshold = Math.max(within, before.spread, after.spread);
      return [{ name, before: before.ms, after: after.ms, change: after.ms / before.ms - 1, threshold }];
    })
    .sort((x, y) => y.change - x.change);
}

export const isSlower = ({ change, threshold }: Change): boolean => change > threshold;
/** As many times faster as slower would count: half the time is the counterpart of twice. */
export const isFaster = ({ before, after, threshold }: Change): boolean => before / after - 1 > threshold;

export function defineCompare(parent: Command): void {
  const command = parent
    .command('compare')
    .description('what became slower or faster between two results (JSON) of a bench')
    .usage('BEFORE AFTER [flags]')
    .argument('<before>', 'what bench … --json, bench gpu or bench peers --save wrote')
    .argument('<after>', 'another of the same bench')
    .helpOption('-h, --help', 'print this');
  command.addOption(new Option('--within <PERCENT>', 'changes up to this are never told (default: 5)'));
  command.addOption(new Option('--fail_over <PERCENT>', 'exit code 1 where something became slower by more than this'));
  command.addOption(new Option('--all', 'what did not change, too'));
  command.addOption(new Option('--anyway', 'even where the adapters differ'));
  command.addHelpText(
    'after',
    `\nA change counts where it passes --within and the spread of the samples (slowest over fastest, less 1) on either side.\n${examples(
      ['tesserae bench kernels --json before.json', 'then change something, and'],
      ['tesserae bench kernels --json after.json && tesserae bench compare before.json after.json --fail_over 20', ''],
    )}`,
  );
  command.action(run);
}

function read(file: string): Figures {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return misuse(`bench compare: ${file}: ${reasonOf(error, { absent: 'name a file that bench … --json wrote' })}`);
  }
  return figuresOf(file, text);
}

function run(before: string, after: string, flags: Flags): void {
  const within = (value(flags, 'within', real()) ?? 5) / 100;
  const most = value(flags, 'fail_over', real());
  const [a, b] = [read(before), read(after)];
  if (a.tool !== b.tool) misuse(`bench compare: ${before} is of ${a.tool}, ${after} of ${b.tool}: nothing to compare`);
  if (a.adapter !== b.adapter && !flags.anyway)
    misuse(
      `bench compare: ${before} was taken on ${a.adapter}, ${after} on ${b.adapter}; --anyway compares them none the less`,
    );
  const all = changes(a, b, within);
  if (!all.length) misuse(`bench compare: ${before} and ${after} measured nothing of the same name`);
  const [slower, faster] = [all.filter(isSlower), all.filter(isFaster)];
  const told = flags.all ? all : [...slower, ...faster];
  const { dim, red, green } = picocolors;
  if (told.length) {
    const head = ['change', 'noise', `${basename(before)} ms`, `${basename(after)} ms`, 'what'].map((cell) =>
      dim(cell),
    );
    const rows = told.map((c) => {
      const colour = isSlower(c) ? red : isFaster(c) ? green : dim;
      const noise = `${(100 * c.threshold).toFixed(0)} %`;
      return [colour(percent(c.change)), noise, c.before.toPrecision(4), c.after.toPrecision(4), c.name];
    });
    for (const line of columns([head, ...rows], [0, 1, 2, 3])) print(line);
  }
  const same = all.length - slower.length - faster.length;
  print(`${slower.length} slower, ${faster.length} faster, ${same} within their noise${missing(a, b)}`);
  if (most === undefined) return;
  const over = slower.filter(({ change }) => 100 * change > most);
  if (!over.length) return;
  print(`--fail_over ${most}: ${over.length} became slower by more, ${over[0].name} by ${percent(over[0].change)}`);
  process.exitCode = 1;
}

const percent = (x: number): string => `${x > 0 ? '+' : ''}${(100 * x).toFixed(1)} %`;

function missing(a: Figures, b: Figures): string {
  const lacks = (x: Figures, y: Figures): number => [...x.rows.keys()].filter((name) => !y.rows.has(name)).length;
  const [gone, added] = [lacks(a, b), lacks(b, a)];
  return `${gone ? `; ${gone} only in the first` : ''}${added ? `; ${added} only in the second` : ''}`;
}
