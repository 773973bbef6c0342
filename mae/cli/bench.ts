// `tesserae bench`: how fast a training step is on this adapter, and where its time goes.
import { type Command, Option } from 'commander';
import picocolors from 'picocolors';
import type { Device } from '../../engine/device.ts';
import type { Engine } from '../../engine/engine.ts';
import { whole } from '../train/flags.ts';
import { misuse, suggestion } from '../usage.ts';
import { defineGpu } from './benchgpu.ts';
import { definePeers } from './benchpeers.ts';
import { bytesText, columns, examples, type Flags, globalsOf, openEngine, value } from './command.ts';
import { addSizes, sizesOf, type TrialSizes, whatText } from './sizes.ts';

export interface StepSizes extends TrialSizes {
  /** Measured steps, and steps before them that do not count. */
  readonly steps: number;
  readonly warmup: number;
}

export interface StepFigures {
  /** Median of a whole step. */
  readonly ms: number;
  readonly images_per_s: number;
  readonly gflop: number;
  readonly peak_bytes: number;
  readonly dispatches: number;
  /** Of these, with settings that tesserae tune measured. */
  readonly picked: number;
  /** Median of what the host spends on submitting a step. */
  readonly host_ms: number;
  /** From the start of the process to the end of the first step: Node, adapter, weights, plan, compilation. `bench gpu`: of that step alone. */
  readonly first_step_ms: number;
}

export interface KernelRow {
  readonly kernel: string;
  readonly problem: string;
  /** Calls in a step. */
  readonly count: number;
  /** Median of one call. */
  readonly ms: number;
  readonly flops: number;
  readonly bytes: number;
}

/** What bench/step.ts exports. bench sees mae and not the other way round, so its files are found at run time. */
export interface StepBench {
  benchStep(engine: Engine, sizes: StepSizes): Promise<StepFigures>;
}

/** What bench/kernels.ts exports. */
export interface KernelBench {
  benchKernels(device: Device, sizes: StepSizes, progress: (done: number, what: string) => void): Promise<KernelRow[]>;
}

const load = <T>(name: string): Promise<T> => import(new URL(`../../bench/${name}.ts`, import.meta.url).href);

export function define(command: Command): void {
  command
    .usage('WHAT [flags]')
    .argument('[what]')
    .action((what?: string) => {
      const names = command.commands.map((sub) => sub.name());
      misuse(
        what === undefined
          ? `bench: say what: ${names.join(', ')}`
          : `bench: there is no ${what}${suggestion(what, names) || `; there are ${names.join(', ')}`}`,
      );
    });
  const step = command.command('step').description('time of a whole forward + backward + AdamW step');
  const kernels = command.command('kernels').description('every kernel of such a step timed by itself');
  for (const sub of [step, kernels]) {
    sub.helpOption('-h, --help', 'print this');
    addSizes(sub);
    sub.addOption(
      new Option(
        '--steps <N>',
        sub === step ? 'measured steps (default: 10)' : 'samples of every kernel (default: 5)',
      ).helpGroup('Measuring:'),
    );
    sub.addOption(new Option('--json', 'one JSON object instead of text').helpGroup('Measuring:'));
  }
  step.addOption(new Option('--warmup <N>', 'steps before those, at least 1 (default: 3)').helpGroup('Measuring:'));
  step.addHelpText(
    'after',
    examples(
      ['tesserae bench step --model mae_vit_base_patch16 --batch_size 32', 'a preset'],
      [
        'tesserae bench step --input_size 64 --patch_size 8 --embed_dim 192 --json',
        'other sizes, for a program to read',
      ],
    ),
  );
  kernels.addHelpText(
    'after',
    examples(['tesserae bench kernels --batch_size 128 --profile simt', 'which kernels to work on']),
  );
  definePeers(command);
  defineGpu(command);
  step.action(runStep);
  kernels.action(runKernels);
}

const measureOf = (flags: Flags, standardSteps: number): StepSizes => ({
  ...sizesOf(flags),
  steps: value(flags, 'steps', whole(1)) ?? standardSteps,
  warmup: value(flags, 'warmup', whole(1)) ?? 3,
});

const print = (line: string): void => void process.stdout.write(`${line}\n`);

async function runStep(flags: Flags, command: Command): Promise<void> {
  const sizes = measureOf(flags, 10);
  const { benchStep } = await load<StepBench>('step');
  using engine = await openEngine(globalsOf(command), { precision: sizes.precision });
  const figures = await benchStep(engine, sizes);
  const { traits, adapter } = engine.device;
  if (flags.json) {
    print(
      JSON.stringify({
        ...figures,
        batch_size: sizes.batchSize,
        profile: traits.profile,
        precision: engine.precision,
        adapter: adapter.description,
      }),
    );
    return;
  }
  print(`${adapter.description}, profile ${traits.profile}, precision ${engine.precision}`);
  print(whatText(sizes));
  const rate = figures.gflop / (figures.ms / 1000);
  const rows = [
    ['step', `${figures.ms.toFixed(2)} ms, median`],
    ['', `${figures.images_per_s.toFixed(1)} images/s`],
    ['work', `${figures.gflop.toFixed(2)} GFLOP, ${rate.toFixed(1)} GFLOP/s, ${figures.dispatches} dispatches`],
    [
      'settings',
      figures.picked ? `measured (shipped, or by tesserae tune) in ${figures.picked} dispatches` : "the kernels' own",
    ],
    [
      'first',
      `${(figures.first_step_ms / 1000).toFixed(2)} s from the start of the process to the end of the first step:`,
    ],
    ['', 'Node, opening the adapter, weights, plan, compiling every kernel (unless the driver kept it), the step'],
    ['host', `${figures.host_ms.toFixed(2)} ms to submit it`],
    ['memory', `${bytesText(figures.peak_bytes)} on the device`],
  ];
  for (const line of columns(rows)) print(`  ${line}`);
}

async function runKernels(flags: Flags, command: Command): Promise<void> {
  const sizes = measureOf(flags, 5);
  const { benchKernels } = await load<KernelBench>('kernels');
  using engine = await openEngine(globalsOf(command), { precision: sizes.precision });
  const live = process.stderr.isTTY;
  const rows = await benchKernels(engine.device, sizes, (done, what) => {
    if (live) process.stderr.write(`\r\x1b[K${done < 1 ? `${Math.floor(100 * done)} %  ${what}` : ''}`);
  });
  const sorted = [...rows].sort((a, b) => b.ms * b.count - a.ms * a.count);
  if (flags.json) return print(JSON.stringify(sorted));
  const { traits, adapter } = engine.device;
  print(`${adapter.description}, profile ${traits.profile}, precision ${engine.precision}`);
  print(whatText(sizes));
  for (const line of kernelTable(sorted)) print(line);
}

/** Matrix products, alone or within attention: where the time of a step should be. */
const isHeavy = ({ kernel }: KernelRow): boolean => /^(gemm|attention)/.test(kernel);

/** Calls below this part of the step are only summed up. */
const LEAST_SHARE = 0.002;

function kernelTable(rows: readonly KernelRow[]): string[] {
  const total = rows.reduce((sum, r) => sum + r.ms * r.count, 0);
  const shown = rows.filter((r) => r.ms * r.count >= LEAST_SHARE * total);
  const rate = (n: number, ms: number): string => (n === 0 ? '' : (n / ms / 1e6).toFixed(1));
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
  const sum = (name: string, of: readonly KernelRow[]): string[] => {
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
