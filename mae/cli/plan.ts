// `tesserae plan`: what pretraining will cost on this adapter, before it begins: memory, work, time, and the largest batch.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { TesseraeError } from '../../engine/errors.ts';
import { bytesText } from '../bytes.ts';
import { misuse } from '../usage.ts';
import { millionsText } from '../model/parameter-count.ts';
import { type Foreseen, foresee } from '../train/foresee.ts';
import { OPTIONS, parsePretrainOptions, type PretrainFlags, type PretrainOptions, UNUSED } from '../train/options.ts';
import { adapterLine, jsonOf, print } from './benchreport.ts';
import { addOptions, addUnused, columns, examples, type Flags, flagsUnder, globalsOf, openEngine } from './command.ts';
import { makeReporter } from './progress.ts';
import { type KeptRates, ratesFor } from './rates.ts';
import { kindsOf, type Pace, paceOf } from '../../engine/pace.ts';

const OWN = ['json', 'no_measure', 'remeasure'] as const;

export function define(command: Command): void {
  command.usage("[pretrain's flags]");
  const option = flagsUnder(command, 'Foretelling');
  option('--json [FILE]', 'the figures as JSON: into a file, or without FILE instead of the text');
  option('--no_measure', 'tell the time only by rates that were measured before: nothing runs on the adapter');
  option('--remeasure', "measure the adapter's rates again (they are kept: half a minute once)");
  addOptions(command, OPTIONS);
  addUnused(command, UNUSED);
  command.addHelpText(
    'after',
    `\nNothing of the model runs and no buffer is made: the step is recorded and planned as pretrain would. With --data_path its images are counted,
for the time of the whole run. They are taken to be of the model's size; larger ones need more on their way to the device. Memory is to the byte what pretrain's buffers will take; the driver takes
some beside it. Time is a forecast: each kernel's work over the rate that it was measured at, at one size. On lavapipe it came within a fifth
of the fastest step from nano at batch 64 to ViT-B, and was too long by up to half for steps of a few milliseconds of work.\n${examples(
      ['tesserae plan --model mae_vit_base_patch16 --batch_size 64', 'does it fit, and how long will it take'],
      [
        'tesserae plan --model mae_vit_huge_patch14 --batch_size 256 --precision f16 --memory 80GiB',
        'for another card',
      ],
      ['tesserae plan --config run.yaml --checkpoint_blocks', 'a recipe, with less memory'],
      ['tesserae plan --model mae_vit_tiny_patch16 --data_path photos --epochs 100', 'how long a whole run takes'],
    )}`,
  );
  command.action(run);
}

async function run(given: PretrainFlags & Flags & { config?: string }, command: Command): Promise<void> {
  const { config, ...flags } = given;
  const rest = Object.fromEntries(Object.entries(flags).filter(([name]) => !OWN.includes(name as 'json')));
  const told = jsonOf(given);
  if (given.no_measure && given.remeasure) misuse('--no_measure and --remeasure exclude one another: keep one');
  const notes: string[] = [];
  const asked = parsePretrainOptions(rest, config, (line) => notes.push(line), { data_path: NO_DATA });
  const options = { ...asked, train_images: asked.train_images ?? (await imagesOf(asked, (line) => notes.push(line))) };
  using engine = await openEngine(globalsOf(command), { precision: options.precision, planOnly: true });
  const foreseen = await foresee(engine, options);
  const reporter = makeReporter();
  const progress = (done: number, what: string): void => reporter.fetching(done, 'measuring this adapter, once', what);
  const how = given.no_measure ? 'known' : given.remeasure ? 'again' : 'auto';
  const rates = await ratesFor(engine, kindsOf(foreseen.step), how, { note: (line) => notes.push(line), progress });
  reporter.finish();
  const pace = rates && paceOf(foreseen.step, rates);
  const { adapter } = engine.device;
  if (told({ adapter: adapter.id, precision: engine.precision, ...figures(options, foreseen), ...timing(pace) })) {
    for (const line of notes) reporter.note(line);
    return;
  }
  print(adapterLine(engine.device, engine.precision));
  const { img_size, in_chans, patch_size } = foreseen.config;
  const images = `${options.batch_size} images of ${img_size.join(' x ')} x ${in_chans}`;
  const masked = `${Math.round(1000 * options.mask_ratio) / 10} % masked`;
  const passes = options.accum_iter > 1 ? `${options.accum_iter} passes a step, each of ` : '';
  print(
    `${options.model}, ${millionsText(foreseen.parameters)} parameters; ${passes}${images}, patches of ${patch_size}, ${masked}`,
  );
  for (const line of memoryTable(foreseen)) print(`  ${line}`);
  for (const line of columns(costs(options, foreseen, rates, pace))) print(`  ${line}`);
  for (const line of notes) print(line);
}

/** Stands where none is named. */
const NO_DATA = 'no data';

/** How many images a run would train on, where data is named and at hand; nothing is fetched. */
async function imagesOf(options: PretrainOptions, note: (line: string) => void): Promise<number | undefined> {
  const { data_path } = options;
  if (data_path === NO_DATA) return undefined;
  const [{ trainingData }, { KNOWN }, { isFetched }, { silent }] = await Promise.all([
    import('../train/data.ts'),
    import('../data/known.ts'),
    import('../data/fetch.ts'),
    import('../train/reporter.ts'),
  ]);
  const name = data_path.split('#')[0];
  if (Object.hasOwn(KNOWN, name) && !(await isFetched(KNOWN[name].fetched))) return undefined;
  try {
    return (await trainingData(options, silent)).train.length;
  } catch (error) {
    if (!(error instanceof TesseraeError)) throw error;
    note(`images are not counted: ${error.message}`);
    return undefined;
  }
}

const figures = ({ batch_size, accum_iter, epochs, train_images }: PretrainOptions, f: Foreseen) => ({
  batch_size,
  accum_iter,
  epochs,
  train_images: train_images ?? null,
  parameters: f.parameters,
  memory: { peak: f.room.peak, limit: f.limit?.bytes ?? null, limit_of: f.limit?.of ?? null, ...f.parts },
  fits: f.lack === null,
  lack: f.lack,
  micro_batches: f.micro,
  largest_batch: f.largest,
  flops: f.flops,
  traffic_bytes: f.traffic,
  dispatches: f.dispatches,
});

const timing = (pace: Pace | null) => ({ step_ms: pace?.ms ?? null, step_ms_at_best: pace?.floor ?? null });

const BAR = 24;
const WHAT: Readonly<Record<string, string>> = {
  activations: 'and their gradients',
  inputs: 'images, as bytes and as numbers',
  others: 'constants, parameters of dispatches, results on their way',
  saving: 'while a checkpoint is written',
};

function memoryTable({ parts, room: { peak }, limit, lack, micro }: Foreseen): string[] {
  const most = limit ? ` of ${bytesText(limit.bytes)} (${limit.of})` : '';
  const mark =
    lack === null
      ? picocolors.green('fits')
      : micro.length > 1
        ? picocolors.yellow('fits when cut')
        : picocolors.red('does not fit');
  const head = ['memory', bytesText(peak), `${most.trim()}${most ? ': ' : ''}${mark}`];
  const rows = Object.entries(parts).map(([name, bytes]) => {
    const bar = '█'.repeat(Math.round((BAR * bytes) / peak));
    return [
      `  ${name}`,
      bytesText(bytes),
      `${picocolors.cyan(bar)}${bar ? ' ' : ''}${picocolors.dim(WHAT[name] ?? '')}`,
    ];
  });
  return columns([head, ...rows], [1]);
}

function costs(
  { batch_size, accum_iter, train_images, epochs }: PretrainOptions,
  f: Foreseen,
  rates: KeptRates | null,
  pace: Pace | null,
): string[][] {
  const images = batch_size * accum_iter;
  const cut =
    f.micro.length > 1 ? `${f.micro.length} micro-batches of ${[...new Set(f.micro)].join(' or ')}: ${f.lack}` : '';
  const rows = [
    ...(f.lack !== null ? [['cut', cut || `none helps: ${f.lack}`]] : []),
    ['largest', f.largest ? `${f.largest} images a pass without cutting` : 'not even one image has room'],
    [
      'work',
      `${scaled(f.flops, 'FLOP')} a step (${scaled(f.flops / images, 'FLOP')} an image), ${bytesText(f.traffic)} read and written, ${f.dispatches} dispatches`,
    ],
  ];
  if (!rates || !pace) return [...rows, ['time', 'not known: --no_measure, and no rates of this adapter are kept']];
  const { best, date } = rates;
  const perSecond = (1000 * images) / pace.ms;
  const arithmetic = best.matrix ? `matrices ${best.matrix.toFixed(0)}` : `multiply-adds ${best.fma.toFixed(0)}`;
  rows.push(['time', `about ${duration(pace.ms)} a step, ${perSecond.toPrecision(3)} images/s`]);
  rows.push([
    '',
    `at best ${duration(pace.floor)}: ${arithmetic} GFLOP/s, copies ${best.copy.toFixed(1)} GB/s, measured ${date.slice(0, 10)}`,
  ]);
  if (train_images)
    rows.push([
      '',
      `${duration((train_images * 1000) / perSecond)} an epoch of ${train_images} images, ${duration((epochs * train_images * 1000) / perSecond)} for ${epochs}`,
    ]);
  return rows;
}

const UNITS = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
function scaled(n: number, unit: string): string {
  const at = Math.max(0, Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, n)) / 3)));
  return `${(n / 1000 ** at).toPrecision(3)} ${UNITS[at]}${unit}`;
}

function duration(ms: number): string {
  if (ms < 1000) return `${ms.toPrecision(3)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toPrecision(3)} s`;
  const minutes = Math.round(ms / 60_000);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(ms / 3_600_000);
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}
