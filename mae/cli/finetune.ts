// `tesserae finetune`: facebookresearch/mae's main_finetune.py by its flags, or by a YAML file of the same names.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { AUGMENTATIONS_TEXT } from '../data/augmentation.ts';
import { FINETUNE_OPTIONS, FINETUNE_UNUSED, parseFinetuneOptions } from '../finetune/options.ts';
import { BEST } from '../train/setup.ts';
import { type Flags, givenOptions } from '../train/table.ts';
import { misuse } from '../usage.ts';
import { ACCIDENTS, addDashboard, addOptions, addUnused, examples, globalsOf, openEngine, pasted } from './command.ts';
import { interruptible } from './interrupt.ts';
import { makeReporter, paceText } from './progress.ts';

export function define(command: Command): void {
  command.usage('--finetune CHECKPOINT --data_path PATH [flags]');
  addOptions(command, FINETUNE_OPTIONS);
  addDashboard(command);
  addUnused(command, FINETUNE_UNUSED);
  command.addOption(
    new Option(
      '--eval',
      'train nothing, but judge the classifier that --resume names, as tesserae eval does',
    ).helpGroup('Output:'),
  );
  command.addHelpText(
    'after',
    `\nBundles of --augment:\n${AUGMENTATIONS_TEXT.split('\n')
      .map((line) => `  ${line}`)
      .join('\n')}
\nValidation images are the data's own (val/), else --val_fraction of the training images; the test set is for tesserae eval --split test alone.\n${ACCIDENTS}${examples(
      [
        'tesserae finetune --finetune runs/quickstart/checkpoint.safetensors --data_path cifar10 --epochs 10 --warmup_epochs 1 --augment light --batch_size 128 --blr 4e-3 --output_dir runs/finetuned',
        'what npm start trained, on CIFAR-10',
      ],
      [
        'tesserae finetune --model mae_vit_nano_patch4_32 --data_path cifar10 --epochs 10 --augment light --output_dir runs/scratch',
        'the same from scratch, to compare (tesserae compare runs/scratch runs/finetuned)',
      ],
      [
        'tesserae finetune --finetune runs/quickstart/checkpoint.safetensors --data_path cifar10 --unfreeze_blocks 1 --epochs 5 --warmup_epochs 1',
        'the last block, the norm and the head only',
      ],
    )}`,
  );
  command.action(run);
}

async function run(flags: Flags & { config?: string; dashboard?: string | true }, command: Command): Promise<void> {
  const { config, eval: judging, dashboard, ...rest } = flags;
  if (judging) return judge(rest, config, command);
  const reporter = makeReporter();
  const [{ recipeToResume }, { loadStanding }] = await Promise.all([
    import('../train/resume.ts'),
    import('../train/checkpoint.ts'),
  ]);
  const sources = { flags: rest, configFile: config, unused: FINETUNE_UNUSED, note: () => {} };
  const { output_dir: folder = FINETUNE_OPTIONS.output_dir.standard, resume } = givenOptions(FINETUNE_OPTIONS, sources);
  const globals = globalsOf(command);
  const load = (path: string) => loadStanding(path, 'classify');
  const recipe = await recipeToResume(resume, folder, globals.profile, load);
  const options = parseFinetuneOptions(rest, config, reporter.note, recipe);
  const [{ finetune }, { portOf, withDashboard }] = await Promise.all([
    import('../finetune/finetune.ts'),
    import('../dashboard/beside.ts'),
  ]);
  portOf(dashboard);
  const engine = await openEngine(globals, { note: reporter.note, precision: options.precision });
  await interruptible(reporter, async (stop) => {
    const { checkpoint, imagesPerSecond, done, judged, best } = await withDashboard(
      dashboard,
      options.output_dir,
      reporter.note,
      () => finetune(engine, options, reporter, stop),
    );
    if (stop.aborted) return;
    reporter.finish();
    const pace = paceText(done, imagesPerSecond);
    const { test_acc1: last, ema_acc1 = 0 } = judged;
    const top1 = last === undefined ? '' : `validation top-1 ${last.toFixed(2)} %; `;
    const before = join(options.output_dir, BEST);
    const passed = last !== undefined && best !== null && best > Math.max(last, ema_acc1) && existsSync(before);
    const classifier = passed ? before : checkpoint;
    // A run that had ended in another folder has left no numbers in this one.
    const course = existsSync(join(options.output_dir, 'metrics.jsonl')) ? await showCourse(options.output_dir) : '';
    process.stdout.write(`${top1}${pace}; ${checkpoint} has the classifier${course}\n`);
    if (passed)
      process.stdout.write(
        `it was better before: ${classifier} has the weights of validation top-1 ${best.toFixed(2)} %${options.ema === undefined ? '' : ', plain or averaged (tesserae eval --ema)'}\n`,
      );
    process.stdout.write(
      `next: npx tesserae eval ${pasted(classifier)} --data_path ${pasted(options.data_path)}; npx tesserae classify ${pasted(classifier)} YOUR_IMAGE.jpg\n`,
    );
  });
}

/** The reference's --eval. */
async function judge(flags: Flags, configFile: string | undefined, command: Command): Promise<void> {
  const sources = { flags, configFile, unused: FINETUNE_UNUSED, note: () => {} };
  const { resume, output_dir, data_path, val_fraction, val_seed, batch_size } = givenOptions(FINETUNE_OPTIONS, sources);
  const folder = output_dir ?? FINETUNE_OPTIONS.output_dir.standard;
  const path = resume === 'auto' ? join(folder, 'checkpoint.safetensors') : resume;
  const { evaluate } = await import('./eval.ts');
  await evaluate(
    path || misuse('--eval: name the classifier by --resume CHECKPOINT'),
    { data_path, val_fraction, val_seed, batch_size },
    command,
  );
}

async function showCourse(folder: string): Promise<string> {
  const { leaveReport } = await import('../report/report.ts');
  return `, ${(await leaveReport(folder)).page} its course`;
}
