// `tesserae quickstart` (npm start): CIFAR-10 from nothing to a trained MAE, its pictures and its curve.
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { Engine } from '../../engine/engine.ts';
import { speedText } from '../durations.ts';
import type { PretrainFlags, PretrainOptions } from '../train/options.ts';
import type { PretrainSummary } from '../train/pretraining.ts';
import { columns, examples, type Flags, type Globals, globalsOf, openEngine } from './command.ts';
import { interruptible } from './interrupt.ts';
import { makeReporter } from './progress.ts';

/** Raw pixels, as the reconstruction is meant to be looked at. */
const RECIPE = {
  data_path: 'cifar10',
  model: 'mae_vit_nano_patch4_32',
  output_dir: join('runs', 'quickstart'),
  batch_size: 64,
  epochs: 4,
  warmup_epochs: 0.4,
  blr: 6e-3,
  save_freq: 0,
};
/** Time that training may take; every image that it sees within it makes better pictures. */
const MINUTES = 3;
const TRAINING_IMAGES = 48_000;
const PICTURES = 8;

/** As many images as four epochs have time for on this machine, and more epochs where there is time for all. */
async function fitted(
  globals: Globals,
  note: (line: string) => void,
): Promise<{ train_images: number; epochs: number }> {
  const [{ trialSpeed }, { configure }] = await Promise.all([
    import('../train/trial.ts'),
    import('../model/config.ts'),
  ]);
  using engine = await openEngine(globals, { note });
  const speed = await trialSpeed(engine, configure(RECIPE.model), RECIPE.batch_size, 0.75);
  const affordable = Math.max(2048, speed * 60 * MINUTES);
  const epochs = Math.min(40, Math.max(RECIPE.epochs, Math.floor(affordable / TRAINING_IMAGES)));
  const train_images = Math.min(TRAINING_IMAGES, 1024 * Math.max(1, Math.floor(affordable / epochs / 1024)));
  note(
    `a trial step goes at about ${speedText(speed)} images/s here: ${epochs} epochs of ${train_images} images fit into ${MINUTES} minutes`,
  );
  return { train_images, epochs };
}

export function define(command: Command): void {
  command
    .option('--data_path <PATH>', "a folder with CIFAR-10's original binary files (default: fetched, kept in a cache)")
    .option('--output_dir <PATH>', `where everything goes (default: ${RECIPE.output_dir})`)
    .option('--epochs <N>', 'train longer or shorter (default: 4, or what fits into some minutes)')
    .option('--train_images <N>', 'of the 48,000 (default: as many as some minutes are enough for)')
    .option('--resume <auto>', 'go on with an interrupted run')
    .option('--dashboard [PORT]', 'watch it in a browser on this machine while it trains')
    .addHelpText(
      'after',
      examples(['npm start', 'set-up and this'], ['npm start -- --epochs 20', 'longer: better pictures']),
    )
    .action(run);
}

async function run({ dashboard, ...flags }: Flags & { dashboard?: string | true }, command: Command): Promise<void> {
  const [{ parsePretrainOptions }, { pretrain }, { recipeToResume }, { portOf, withDashboard }] = await Promise.all([
    import('../train/options.ts'),
    import('../train/pretrain.ts'),
    import('../train/resume.ts'),
    import('../dashboard/beside.ts'),
  ]);
  portOf(dashboard);
  const reporter = makeReporter();
  const globals = globalsOf(command);
  const base: PretrainFlags = { ...RECIPE, overwrite: !flags.resume };
  const asked = parsePretrainOptions({ ...base, ...flags });
  await interruptible(reporter, async (stop) => {
    const complete = flags.epochs && flags.train_images;
    const recipe = await recipeToResume(asked.resume, asked.output_dir, globals.profile);
    const going = Object.keys(recipe).length > 0;
    const chosen = going ? recipe : complete ? {} : await fitted(globals, reporter.note);
    const engine = await openEngine(globals, { note: reporter.note, precision: recipe.precision });
    const options = parsePretrainOptions({ ...base, ...chosen, ...flags }, undefined, reporter.note);
    const summary = await withDashboard(dashboard, options.output_dir, reporter.note, () =>
      pretrain(engine, options, reporter, stop),
    );
    if (stop.aborted) return;
    await showReconstructions(engine, options, summary);
    await (await import('../report/report.ts')).leaveReport(options.output_dir);
    reporter.finish();
    process.stdout.write(await closing(options, summary));
  });
}

const file = (options: PretrainOptions, name: string): string => join(options.output_dir, name);

/** Images of the test set, which nothing here has trained or chosen on. */
async function showReconstructions(
  engine: Engine,
  options: PretrainOptions,
  { model, data }: PretrainSummary,
): Promise<void> {
  const [{ openData }, { part }, { reconstruct }, { panel }, { writePng }] = await Promise.all([
    import('../data/open.ts'),
    import('../data/dataset.ts'),
    import('../reconstruct.ts'),
    import('../pictures/panel.ts'),
    import('../pictures/png.ts'),
  ]);
  const { test } = await openData(options.data_path);
  if (!test) return;
  const images = part(test, 0, PICTURES);
  const rows = await reconstruct(engine, model, images, { maskRatio: options.mask_ratio, seed: options.seed });
  await writePng(
    file(options, 'reconstruction.png'),
    panel(rows, { config: model.config, mean: data.mean, std: data.std }),
  );
}

async function closing(
  options: PretrainOptions,
  { imagesPerSecond, done, checkpoint }: PretrainSummary,
): Promise<string> {
  const { parseMetrics } = await import('../pictures/loss-curve.ts');
  const { heldout } = parseMetrics(await readFile(file(options, 'metrics.jsonl'), 'utf8'));
  const { bold, cyan, dim } = picocolors;
  const at = (name: string): string => cyan(relative('', file(options, name)));
  const files = columns([
    [at('reconstruction.png'), 'test images: original | masked | reconstruction | pasted'],
    [at('report.html'), 'curves, the images as training went on, kernels and settings on one page'],
    [at('loss.svg'), 'the loss, step by step'],
    [at('log.txt'), 'one JSON line an epoch'],
    [at('metrics.jsonl'), 'one JSON line a step'],
    [cyan(relative('', checkpoint)), 'weights, optimizer state, and everything to go on from'],
  ]);
  const first = heldout[0]?.loss ?? Number.NaN;
  const last = heldout.at(-1)?.loss ?? Number.NaN;
  const pace = done ? dim(` (${speedText(imagesPerSecond)} images/s)`) : '';
  return [
    '',
    `${bold('Masked loss on 2,000 held-out images:')} ${first.toFixed(3)} before, ${bold(last.toFixed(3))} after training${pace}`,
    ...files.map((line) => `  ${line}`),
    'Next:',
    `  npx tesserae reconstruct ${relative('', checkpoint)} YOUR_IMAGE.jpg`,
    `  npx tesserae attention ${relative('', checkpoint)} YOUR_IMAGE.jpg`,
    '  npm start -- --epochs 20                     train longer',
    '  npx tesserae pretrain --data_path FOLDER …   your own images (--help tells the flags)',
    '  npx tesserae doctor                          what this machine can do',
    '',
  ].join('\n');
}
