// `tesserae study RECIPE`: one command from images to the table that says what pretraining was good for.
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import picocolors from 'picocolors';
import type { StudyResult, Summary } from '../study.ts';
import { text, whole } from '../train/flags.ts';
import { columns, examples, type Flags, globalsOf, openEngine, value } from './command.ts';
import { interruptible } from './interrupt.ts';
import { makeReporter } from './progress.ts';

const { bold, dim } = picocolors;

export function define(command: Command): void {
  command
    .argument('<recipe>', 'a recipe with a section study, as mae/recipes/cifar10-quick.yaml')
    .option('--seeds <LIST>', 'a study for each, commas between (default: 0)')
    .option('--output_dir <PATH>', "where everything goes (default: runs/ and the recipe's name)")
    .addHelpText(
      'after',
      `\nPretrains, then classifies by nearest neighbours, a linear probe and fine-tuning: by the trained encoder, and by one that was never trained. The
test images are touched once, at the end, by what was chosen on the validation images. The same command goes on where it was interrupted.\n${examples(
        ['tesserae study mae/recipes/cifar10-quick.yaml', 'about half an hour on two cores'],
        ['tesserae study mae/recipes/cifar10-quick.yaml --seeds 0,1,2', 'with means and spreads over seeds'],
      )}`,
    )
    .action(run);
}

async function run(recipe: string, flags: Flags, command: Command): Promise<void> {
  const seeds = (value(flags, 'seeds', text('LIST')) ?? '0')
    .split(',')
    .map((seeds) => value({ seeds }, 'seeds', whole(0, 2 ** 32 - 1)) as number);
  const name = basename(recipe).replace(/\.ya?ml$/i, '');
  const folder = value(flags, 'output_dir', text('PATH')) ?? join('runs', name);
  const { study, studySettings, summary } = await import('../study.ts');
  studySettings(recipe); // told before a device is opened
  const reporter = makeReporter();
  const engine = await openEngine(globalsOf(command), { note: reporter.note });
  await interruptible(reporter, join(folder, `seed-${seeds[0]}`, 'pretrain'), async () => {
    const results: StudyResult[] = [];
    for (const seed of seeds) {
      if (seeds.length > 1) reporter.note(bold(`seed ${seed}`));
      results.push(await study(engine, { recipe, seed, folder: join(folder, `seed-${seed}`) }, reporter));
    }
    reporter.finish();
    for (const line of table(results, summary)) process.stdout.write(`${line}\n`);
    const seconds = results.flatMap(({ seconds: parts }) => Object.values(parts)).reduce((a, b) => a + b, 0);
    process.stdout.write(
      `${(seconds / 60 / seeds.length).toFixed(0)} min a seed; ${folder} has logs, checkpoints and numbers (study.json)\n`,
    );
  });
}

/** Means over seeds, with their spread where there are several; the last column says how far ahead the trained encoder is. */
function table(results: readonly StudyResult[], summary: (values: readonly number[]) => Summary): string[] {
  const cell = ({ mean, spread }: Summary): string =>
    `${mean.toFixed(2)}${results.length > 1 ? ` ± ${spread.toFixed(2)}` : ''}`;
  const rows: string[][] = [];
  const add = (what: string, of: (result: StudyResult, encoder: 'random' | 'mae') => number | undefined): void => {
    const [random, mae] = (['random', 'mae'] as const).map((encoder) =>
      results.map((r) => of(r, encoder) ?? Number.NaN),
    );
    if (random.some(Number.isNaN) || mae.some(Number.isNaN)) return;
    const ahead = summary(mae.map((x, i) => x - random[i]));
    rows.push([what, cell(summary(random)), bold(cell(summary(mae))), cell(ahead)]);
  };
  for (const metric of ['linear', 'knn'] as const) {
    for (const features of ['cls', 'gap'] as const) {
      add(
        `${metric === 'knn' ? 'kNN' : 'linear probe'}, ${features}`,
        ({ rows: all }, encoder) => all?.find((row) => row.encoder === encoder && row.features === features)?.[metric],
      );
    }
  }
  add('fine-tuning, same number of steps', ({ finetune }, encoder) => finetune?.[encoder]);
  const over = results.length > 1 ? ', mean ± (largest - smallest)' : '';
  const head = [`test top-1 in %${over}`, 'random encoder', 'MAE', 'ahead'].map((name) => dim(name));
  const lines = columns([head, ...rows], [1, 2, 3]);
  const losses = results.map(({ heldout_loss }) => heldout_loss ?? Number.NaN);
  return [...lines, `held-out masked loss ${losses.map((loss) => loss.toFixed(4)).join(', ')}`];
}
