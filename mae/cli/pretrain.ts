// `tesserae pretrain`: facebookresearch/mae's main_pretrain.py by its flags, or by a YAML file of the same names.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { OPTIONS, parsePretrainOptions, type PretrainFlags, type PretrainOptions, UNUSED } from '../train/options.ts';
import { givenOptions } from '../train/table.ts';
import { ACCIDENTS, addDashboard, addOptions, addUnused, examples, globalsOf, openEngine, pasted } from './command.ts';
import { interruptible } from './interrupt.ts';
import { makeReporter, paceText } from './progress.ts';

export function define(command: Command): void {
  command.usage('--data_path PATH [flags]');
  addOptions(command, OPTIONS);
  addDashboard(command);
  addUnused(command, UNUSED);
  command.addHelpText(
    'after',
    `\nNames, defaults and meanings are facebookresearch/mae's where it has them; its other flags (${Object.keys(UNUSED).join(', ')}) are accepted and not used.\n${ACCIDENTS}${examples(
      [
        'tesserae pretrain --data_path cifar10 --model mae_vit_nano_patch4_32 --epochs 20 --warmup_epochs 2 --batch_size 256',
        'CIFAR-10, fetched when it is not there yet',
      ],
      [
        'tesserae pretrain --data_path imagenet --model mae_vit_base_patch16 --norm_pix_loss --epochs 800 --blr 1.5e-4',
        "the paper's recipe (it used an effective batch of 4096: --batch_size x --accum_iter)",
      ],
      [
        'tesserae pretrain --data_path photos --init runs/quickstart/checkpoint.safetensors --output_dir runs/photos',
        'begin with the weights of another run',
      ],
      ['tesserae pretrain --config run.yaml --resume auto', 'go on where the last run with this output_dir stopped'],
    )}`,
  );
  command.action(run);
}

async function run(
  flags: PretrainFlags & { config?: string; dashboard?: string | true },
  command: Command,
): Promise<void> {
  const { config, dashboard, ...rest } = flags;
  const reporter = makeReporter();
  const [{ recipeToResume }, { sizesOf }] = await Promise.all([
    import('../train/resume.ts'),
    import('../train/begin.ts'),
  ]);
  const { init, model, output_dir, resume } = givenOptions(OPTIONS, {
    flags: rest,
    configFile: config,
    unused: UNUSED,
    note: () => {},
  });
  const folder = output_dir ?? OPTIONS.output_dir.standard;
  const globals = globalsOf(command);
  const recipe = await recipeToResume(resume, folder, globals.profile);
  const resumed = Object.keys(recipe).length > 0;
  const sizes = init && !model && !resumed ? await sizesOf(init) : {};
  const options = parsePretrainOptions(rest, config, reporter.note, { ...sizes, ...recipe });
  const [{ pretrain }, { portOf, withDashboard }] = await Promise.all([
    import('../train/pretrain.ts'),
    import('../dashboard/beside.ts'),
  ]);
  portOf(dashboard);
  const engine = await openEngine(globals, { note: reporter.note, precision: options.precision });
  await interruptible(reporter, async (stop) => {
    const { checkpoint, imagesPerSecond, done } = await withDashboard(
      dashboard,
      options.output_dir,
      reporter.note,
      () => pretrain(engine, options, reporter, stop),
    );
    if (stop.aborted) return;
    reporter.finish();
    const pace = paceText(done, imagesPerSecond);
    // A run that had ended in another folder has left no numbers in this one.
    const course = existsSync(join(options.output_dir, 'metrics.jsonl')) ? await showCourse(options) : '';
    process.stdout.write(`${pace}; ${checkpoint} has the model${course}\n`);
    process.stdout.write(`next: npx tesserae reconstruct ${pasted(checkpoint)} YOUR_IMAGE.jpg\n`);
    process.stdout.write(
      `with labelled images: npx tesserae linprobe ${pasted(checkpoint)} --data_path FOLDER; npx tesserae finetune --finetune ${pasted(checkpoint)} --data_path FOLDER --output_dir ANOTHER\n`,
    );
  });
}

async function showCourse({ output_dir }: PretrainOptions): Promise<string> {
  const { leaveReport } = await import('../report/report.ts');
  const { page, curve } = await leaveReport(output_dir);
  return `, ${page} its course (${basename(curve)}: the curve alone)`;
}
