// `tesserae linprobe CHECKPOINT`: how well a linear layer classifies by what the frozen encoder sees.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { real, text, whole } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, flagsUnder, globalsOf, openEngine, value } from './command.ts';
import { addEvaluation, evaluationOf, openEvaluation } from './evaluation.ts';
import { addProbeFlags, ours } from './probe-flags.ts';
import { makeReporter } from './progress.ts';

export function define(command: Command): void {
  addEvaluation(command, 'cls,gap', '[checkpoint]');
  addProbeFlags(command);
  const option = flagsUnder(command, 'Training of the head');
  option('--blr <LIST>', 'learning rates of 256 images, commas between; validation chooses (default: 0.1)');
  option('--batch_size <N>', 'images a step (default: 512)');
  option('--epochs <N>', 'passes over the training images (default: 90)');
  option('--warmup_epochs <X>', 'epochs over which the rate rises from 0 (default: 10)');
  option('--views <N>', 'random crops and flips of every image, taken in turns (default: 0: the whole image alone)');
  option('--output_dir <PATH>', "for linprobe.json and the head (default: the checkpoint's folder)");
  command.addHelpText(
    'after',
    `\nBatchNorm without affine part and a linear layer on frozen features, trained by LARS: facebookresearch/mae's main_linprobe.py. Features are
computed once and kept in the cache folder until an image changes, so that another sweep takes seconds. Rates are chosen on validation images; the test set is
touched with --split test alone, once, by the chosen rate. The default rate is one for a million images: fewer want higher ones, and are told which.
The reference's own flags do, too: --finetune CHECKPOINT, --cls_token, --global_pool, --lr; those that mean nothing here are named and not used.\n${examples(
      ['tesserae linprobe runs/quickstart/checkpoint.safetensors --data_path cifar10 --blr 0.1,0.4,1.6', 'a sweep'],
      [
        'tesserae linprobe runs/quickstart/checkpoint.safetensors --data_path cifar10 --random_init',
        'what training was good for',
      ],
    )}`,
  );
  command.action(run);
}

async function run(named: string | undefined, given: Flags, command: Command): Promise<void> {
  const reporter = makeReporter();
  const { PROBE_DEFAULTS, tooSlow } = await import('../evaluate/linprobe.ts');
  const { path, flags } = ours(named, given, PROBE_DEFAULTS.batch_size, reporter.note);
  const evaluation = evaluationOf(flags);
  const blrs = (value(flags, 'blr', text('LIST')) ?? '0.1')
    .split(',')
    .map((blr) => value({ blr }, 'blr', real({ open: true })) as number);
  const training = {
    batch_size: value(flags, 'batch_size', whole(2)) ?? PROBE_DEFAULTS.batch_size,
    epochs: value(flags, 'epochs', whole(1)) ?? PROBE_DEFAULTS.epochs,
    warmup_epochs: value(flags, 'warmup_epochs', real()) ?? PROBE_DEFAULTS.warmup_epochs,
  };
  const views = value(flags, 'views', whole(0)) ?? 0;
  const folder = value(flags, 'output_dir', text('PATH')) ?? dirname(path);
  try {
    const device = () => openEngine(globalsOf(command), { note: reporter.note });
    const opened = await openEvaluation(device, path, evaluation, reporter);
    using engine = opened.engine;
    const began = performance.now();
    // Before anything is computed that would be lost without it.
    await mkdir(folder, { recursive: true }).catch((error) => misuse(`--output_dir ${folder}: ${reasonOf(error)}`));
    const { sweep } = await import('../evaluate/sweep.ts');
    const sets = { views: await opened.train(views), val: await opened.val(), test: await opened.test() };
    const slow = tooSlow(sets.views[0].count, blrs, training);
    if (slow) reporter.note(slow);
    const swept = performance.now();
    const rows = [];
    const { seed } = evaluation;
    const classes = opened.classes.length;
    for (const choice of evaluation.choices) {
      const progress = reporter.fetching;
      const result = await sweep(engine, sets, { ...training, blrs, choice, seed, classes, progress });
      rows.push(...result.rows);
      if (!evaluation.random)
        await opened.keepHead(join(folder, `linprobe-${choice}.safetensors`), choice, result.head);
    }
    reporter.finish();
    const seconds = ((performance.now() - swept) / 1000).toFixed(1);
    const percent = (x: number | undefined): string => (x === undefined ? '' : `${x.toFixed(2)} %`);
    const tested = evaluation.test ? ['test top-1', 'top-5'] : [];
    const head = ['features', 'blr', 'val top-1', 'top-5', 'loss', ...tested].map((name) => picocolors.dim(name));
    const lines = rows.map((r) => [
      r.features,
      String(r.blr),
      r.best ? picocolors.bold(percent(r.val.top1)) : percent(r.val.top1),
      percent(r.val.top5),
      r.val.loss.toFixed(4),
      ...(evaluation.test ? [percent(r.test?.top1), percent(r.test?.top5)] : []),
    ]);
    for (const line of columns([head, ...lines], [1, 2, 3, 4, 5, 6])) process.stdout.write(`${line}\n`);
    process.stdout.write(
      `${rows.length} ${rows.length === 1 ? 'probe' : 'probes'} in ${seconds} s; ${((swept - began) / 1000).toFixed(1)} s for the features\n`,
    );
    const name = evaluation.random ? 'linprobe-random.json' : 'linprobe.json';
    const { writeFileAtomic } = await import('../../engine/node/files.ts');
    const { test: _, ...settings } = { ...training, ...evaluation, views, test: null };
    const record = { command: 'linprobe', checkpoint: path, ...settings, rows: rows.map(withoutConfusion) };
    await writeFileAtomic(join(folder, name), Buffer.from(`${JSON.stringify(record, null, 1)}\n`));
    process.stdout.write(
      `${join(folder, name)} has all of it${evaluation.random ? '' : '; linprobe-*.safetensors the heads'}\n`,
    );
  } finally {
    reporter.finish();
  }
}

function withoutConfusion<T extends { test: { confusion?: unknown } | null }>(row: T): T {
  return row.test ? { ...row, test: { ...row.test, confusion: undefined } } : row;
}
