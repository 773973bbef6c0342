// `tesserae bench data`: images a second of the input pipeline alone, and whether it or the device limits training.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { Engine } from '../../engine/engine.ts';
import type { Dataset } from '../data/dataset.ts';
import { OPTIONS } from '../train/options.ts';
import { real, text } from '../train/flags.ts';
import { misuse } from '../usage.ts';
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
import { makeReporter } from './progress.ts';
import { addSizes, sizesOf, type TrialSizes } from './sizes.ts';

/** ms: of a batch, mean. */
export interface DataRow extends BenchRow {
  /** What was measured, without of which images. */
  readonly part: string;
  readonly images_per_s: number;
  readonly images: number;
  /** us of the main thread's CPU time for an image: it can be no faster, however many threads decode. Where the system tells it. */
  readonly main_us?: number;
}

/** What bench/data.ts exports. */
export interface DataBench {
  benchData(
    engine: Engine,
    dataset: Dataset,
    sizes: TrialSizes,
    options: { readonly seconds: number; readonly num_workers: number; readonly step: boolean },
    progress: (what: string) => void,
  ): Promise<BenchReport<DataRow>>;
}

export function defineData(parent: Command): void {
  const command = parent
    .command('data')
    .description('images/s of decoding, packing, upload and augmentation, beside the training step')
    .usage('--data_path PATH [flags]')
    .helpOption('-h, --help', 'print this');
  const ofData = flagsUnder(command, 'Data');
  ofData('--data_path <PATH>', OPTIONS.data_path.help);
  ofData('--num_workers <N>', OPTIONS.num_workers.help);
  addSizes(command);
  const option = flagsUnder(command, 'Measuring');
  option('--seconds <X>', 'time for each part (default: 5)');
  option('--no_step', 'leave out the training step beside it');
  addJson(command);
  command.addHelpText(
    'after',
    examples(
      ['tesserae bench data --data_path cifar10 --batch_size 256', 'whether decoding keeps up with the device'],
      ['tesserae bench data --data_path photos --model mae_vit_base_patch16 --batch_size 64 --num_workers 8', ''],
    ),
  );
  command.action(run);
}

async function run(flags: Flags, command: Command): Promise<void> {
  const path = value(flags, 'data_path', text('PATH')) ?? misuse('bench data: --data_path is missing');
  const options = {
    seconds: value(flags, 'seconds', real({ open: true })) ?? 5,
    num_workers: value(flags, 'num_workers', OPTIONS.num_workers.kind) ?? OPTIONS.num_workers.standard,
    step: !flags.no_step,
  };
  const given = sizesOf(flags);
  const told = jsonOf(flags);
  const reporter = makeReporter();
  const [{ benchData }, { openData }] = await Promise.all([loadBench<DataBench>('data'), import('../data/open.ts')]);
  const { train } = await openData(path, reporter.fetching);
  reporter.finish();
  // The images' own channels, unless said.
  const sizes = flags.in_chans === undefined ? sizesOf({ ...flags, in_chans: String(train.channels) }) : given;
  using engine = await openEngine(globalsOf(command), { precision: sizes.precision });
  const report = await benchData(engine, train, sizes, options, showStanding);
  showStanding('');
  if (told(report)) return;
  print(adapterLine(engine.device, engine.precision));
  print(`${train.name}: ${train.length} images; ${sizes.batchSize} a batch, to ${sizes.config.img_size.join(' x ')}`);
  const head = ['', 'images/s', 'ms a batch', 'images', 'main thread, us an image'].map((cell) => picocolors.dim(cell));
  const rows = report.rows.map((r) => [
    r.part,
    r.images_per_s.toFixed(0),
    r.ms.toFixed(2),
    String(r.images),
    r.main_us?.toFixed(0) ?? '',
  ]);
  for (const line of columns([head, ...rows], [1, 2, 3, 4])) print(line);
  const [, both, step] = report.rows;
  if (step) print(verdict(both.images_per_s, step.images_per_s));
}

/** Of images a second by the input pipeline, and by the training step alone. */
function verdict(input: number, step: number): string {
  const times = (a: number, b: number): string => `${(a / b).toFixed(1)}x`;
  return input < step
    ? `the data limits: the device could train ${times(step, input)} as fast as images arrive (try --num_workers, or smaller files)`
    : `the device limits: images arrive ${times(input, step)} as fast as it trains`;
}
