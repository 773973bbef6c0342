// `tesserae bench kernels`: every kernel of the house at the sizes of a step, or with --step the calls of one step, timed by themselves.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { Device } from '../../engine/device.ts';
import type { Precision } from '../../engine/trace.ts';
import { lenKeep, parameterSpecs, patchesOf } from '../model/config.ts';
import { whole } from '../train/flags.ts';
import { misuse, suggestion } from '../usage.ts';
import {
  adapterLine,
  addJson,
  type BenchReport,
  type BenchRow,
  jsonOf,
  loadBench,
  print,
  showStanding,
} from './benchreport.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { addSizes, sizesOf, type TrialSizes, whatText } from './sizes.ts';

export interface CatalogueRow extends BenchRow {
  readonly kernel: string;
  readonly problem: string;
  readonly flops: number;
  /** Of every binding once. */
  readonly bytes: number;
  /** Of what the device can do at best: the longer of its time to copy the bytes and to do the arithmetic, over ms. */
  readonly share: number;
  readonly bound: 'copy' | 'fma' | 'matrix';
}

export interface CallRow extends BenchRow {
  readonly kernel: string;
  readonly problem: string;
  /** Calls in a step; ms is of one. */
  readonly count: number;
  readonly flops: number;
  readonly bytes: number;
}

type Progress = (done: number, what: string) => void;

/** Measured ceilings: GB/s read plus written, GFLOP/s of f32 multiply-adds and of f16 matrices (0: none). */
type Best = Readonly<Record<CatalogueRow['bound'], number>>;

/** What bench/catalogue.ts exports. */
export interface CatalogueBench {
  kernelNames(): string[];
  benchCatalogue(
    device: Device,
    sizes: Readonly<Record<(typeof SIZES)[number], number>>,
    options: { readonly only: string; readonly samples: number; readonly precision: Precision },
    progress: Progress,
  ): Promise<{ best: Best; report: BenchReport<CatalogueRow> }>;
}

/** What bench/calls.ts exports. */
export interface CallBench {
  benchCalls(device: Device, sizes: TrialSizes, samples: number, progress: Progress): Promise<BenchReport<CallRow>>;
}

const SIZES = [
  'batch',
  'chans',
  'height',
  'width',
  'patch_size',
  'patches',
  'keep',
  'dim',
  'heads',
  'decoder_dim',
  'parameters',
] as const;

export function defineKernels(parent: Command): void {
  const command = parent
    .command('kernels')
    .description('every kernel of the house by itself, beside what the device can do at best')
    .helpOption('-h, --help', 'print this');
  addSizes(command);
  const option = flagsUnder(command, 'Measuring');
  option('--only <TEXT>', 'kernels whose name contains this, as layernorm or gather.rows');
  option('--samples <N>', 'times that each is measured, at least 5; the median counts (default: 5)');
  option('--step', 'the calls of one training step instead, with the share of each');
  addJson(command);
  command.addHelpText(
    'after',
    `\nShare: the time that the device needs at best for the bytes (copy) or the arithmetic (fma), measured in the same run, over the\ntime taken. Inputs that stay in a cache can pass 100 %. Repeats fill 20 ms a submit; the first ones do not count.\n${examples(
      ['tesserae bench kernels --json before.json', 'all of them, to compare with later (tesserae bench compare)'],
      ['tesserae bench kernels --only attention --model mae_vit_base_patch16 --batch_size 32', 'at the sizes of ViT-B'],
      ['tesserae bench kernels --step --batch_size 128', 'which calls of a step to work on'],
    )}`,
  );
  command.action(run);
}

async function run(flags: Flags, command: Command): Promise<void> {
  const samples = value(flags, 'samples', whole(5)) ?? 5;
  const sizes = sizesOf(flags);
  const told = jsonOf(flags);
  const only = String(flags.only ?? '');
  const bench = await loadBench<CatalogueBench & CallBench>(flags.step ? 'calls' : 'catalogue');
  if (flags.step && only) misuse('--only chooses among all kernels: leave out --step, or --only');
  if (!flags.step && !bench.kernelNames().some((name) => name.includes(only))) {
    const rooms = [...new Set(bench.kernelNames().flatMap((name) => [name.split('.')[0], name]))];
    misuse(`--only ${only}: no kernel has that in its name${suggestion(only, rooms)}`);
  }
  using engine = await openEngine(globalsOf(command), { precision: sizes.precision });
  const progress: Progress = (done, what) => showStanding(done < 1 ? `${Math.floor(100 * done)} %  ${what}` : '');
  const { device } = engine;
  const head = (): void => {
    print(adapterLine(device, engine.precision));
    print(whatText(sizes));
  };
  if (flags.step) {
    const report = await bench.benchCalls(device, sizes, samples, progress);
    if (told(report)) return;
    head();
    for (const line of callTable(report.rows)) print(line);
    return;
  }
  const options = { only, samples, precision: engine.precision };
  const { best, report } = await bench.benchCatalogue(device, catalogueSizes(sizes), options, progress);
  if (told(report)) return;
  head();
  const matrix = best.matrix ? `, matrices ${best.matrix.toFixed(0)} GFLOP/s in f16` : '';
  print(`at best: copies ${best.copy.toFixed(1)} GB/s, multiply-adds ${best.fma.toFixed(0)} GFLOP/s in f32${matrix}`);
  for (const line of catalogueTable(report.rows)) print(line);
}

function catalogueSizes({ config: c, batchSize: batch, maskRatio }: TrialSizes) {
  const patches = patchesOf(c);
  const [height, width] = c.img_size;
  const parameters = parameterSpecs(c).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return {
    batch,
    chans: c.in_chans,
    height,
    width,
    patch_size: c.patch_size,
    patches,
    keep: lenKeep(patches, maskRatio),
    dim: c.embed_dim,
    heads: c.num_heads,
    decoder_dim: c.decoder_embed_dim,
    parameters,
  };
}

const rate = (n: number, ms: number): string => (n === 0 ? '' : (n / ms / 1e6).toFixed(1));
const percent = (part: number): string => `${(100 * part).toFixed(part < 0.0995 ? 1 : 0)} %`;
/** Problems are cut so that a line has 100 characters. */
const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function catalogueTable(rows: readonly CatalogueRow[]): string[] {
  const head = ['kernel', 'ms', 'spread', 'GFLOP/s', 'GB/s', 'share', 'of', 'problem'].map((name) =>
    picocolors.dim(name),
  );
  const body = rows.map((r) => [
    r.kernel,
    r.ms < 10 ? r.ms.toPrecision(3) : r.ms.toFixed(1),
    percent(r.spread),
    rate(r.flops, r.ms),
    rate(r.bytes, r.ms),
    percent(r.share),
    r.bound,
    cut(r.problem, 28),
  ]);
  return columns([head, ...body], [1, 2, 3, 4, 5]);
}

/** Matrix products, alone or within attention: where the time of a step should be. */
const isHeavy = ({ kernel }: CallRow): boolean => /^(gemm|attention)/.test(kernel);

/** Calls below this part of the step are only summed up. */
const LEAST_SHARE = 0.002;

function callTable(given: readonly CallRow[]): string[] {
  const rows = [...given].sort((a, b) => b.ms * b.count - a.ms * a.count);
  const total = rows.reduce((sum, r) => sum + r.ms * r.count, 0);
  const shown = rows.filter((r) => r.ms * r.count >= LEAST_SHARE * total);
  const head = ['share', 'ms', 'calls', 'ms each', 'GFLOP/s', 'GB/s', 'kernel', 'problem'].map((name) =>
    picocolors.dim(name),
  );
  const body = shown.map((r) => [
    `${((100 * r.ms * r.count) / total).toFixed(1)} %`,
    (r.ms * r.count).toFixed(2),
    String(r.count),
    r.ms.toFixed(3),
    rate(r.flops, r.ms),
    rate(r.bytes, r.ms),
    r.kernel,
    r.problem,
  ]);
  const sum = (name: string, of: readonly CallRow[]): string[] => {
    const ms = of.reduce((n, r) => n + r.ms * r.count, 0);
    const flops = of.reduce((n, r) => n + r.flops * r.count, 0);
    const calls = of.reduce((n, r) => n + r.count, 0);
    return [`${((100 * ms) / total).toFixed(1)} %`, ms.toFixed(2), String(calls), '', rate(flops, ms), '', name, ''];
  };
  const small = rows.filter((r) => !shown.includes(r));
  const sums = [
    ...(small.length ? [sum(`${small.length} others`, small)] : []),
    sum('GEMM and attention', rows.filter(isHeavy)),
    sum(
      'the rest',
      rows.filter((r) => !isHeavy(r)),
    ),
    sum('all', rows),
  ];
  return columns([head, ...body, ...sums], [0, 1, 2, 3, 4, 5]);
}
