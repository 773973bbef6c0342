// `tesserae bench`: what can be measured, and how fast a training step is on this adapter.
import type { Command } from 'commander';
import type { Engine } from '../../engine/engine.ts';
import { bytesText } from '../bytes.ts';
import { whole } from '../train/flags.ts';
import { misuse, suggestion } from '../usage.ts';
import { defineCompare } from './benchcompare.ts';
import { defineData } from './benchdata.ts';
import { defineGpu } from './benchgpu.ts';
import { defineInfer } from './benchinfer.ts';
import { defineKernels } from './benchkernels.ts';
import { definePeers } from './benchpeers.ts';
import { adapterLine, addJson, type BenchReport, jsonOf, loadBench, print } from './benchreport.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { addSizes, sizesOf, type TrialSizes, whatText } from './sizes.ts';

export interface StepSizes extends TrialSizes {
  /** Measured steps, and steps before them that do not count. */
  readonly steps: number;
  readonly warmup: number;
}

export interface StepFigures {
  /** Median of a whole step. */
  readonly ms: number;
  /** Slowest over fastest, less 1. */
  readonly spread: number;
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

/** What bench/step.ts exports. bench sees mae and not the other way round, so its files are found at run time. */
export interface StepBench {
  benchStep(engine: Engine, sizes: StepSizes): Promise<{ figures: StepFigures; report: BenchReport }>;
}

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
  const step = command
    .command('step')
    .description('time of a whole forward + backward + AdamW step')
    .helpOption('-h, --help', 'print this');
  addSizes(step);
  const option = flagsUnder(step, 'Measuring');
  option('--steps <N>', 'measured steps (default: 10)');
  option('--warmup <N>', 'steps before those, at least 1 (default: 3)');
  addJson(step);
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
  defineKernels(command);
  defineInfer(command);
  defineData(command);
  defineCompare(command);
  definePeers(command);
  defineGpu(command);
  step.action(runStep);
}

async function runStep(flags: Flags, command: Command): Promise<void> {
  const sizes: StepSizes = {
    ...sizesOf(flags),
    steps: value(flags, 'steps', whole(1)) ?? 10,
    warmup: value(flags, 'warmup', whole(1)) ?? 3,
  };
  const told = jsonOf(flags);
  const { benchStep } = await loadBench<StepBench>('step');
  using engine = await openEngine(globalsOf(command), { precision: sizes.precision });
  const { figures, report } = await benchStep(engine, sizes);
  if (told(report)) return;
  print(adapterLine(engine.device, engine.precision));
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
