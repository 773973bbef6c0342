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
    .argument('<recipes...>', 'recipes with a section study, as mae/recipes/cifar10-quick.yaml; several are compared')
    .option('--seeds <LIST>', 'a study for each, commas between (default: 0)')
    .option('--output_dir <PATH>', "where everything goes (default: runs/ and the recipe's name)")
    .addHelpText(
      'after',
      `\nPretrains, then classifies by nearest neighbours, a linear probe and fine-tuning: by the trained encoder, and by one that was never trained. The
test images are touched once, at the end, by what was chosen on the validation images. The same command goes on where it was interrupted.\n${examples(
        ['tesserae study mae/recipes/cifar10-quick.yaml', 'on two cores, without a GPU'],
        ['tesserae study mae/recipes/cifar10-quick.yaml --seeds 0,1,2', 'with means and spreads over seeds'],
        ['tesserae study mae/recipes/cifar10-quick.yaml mae/recipes/cifar10-simmim.yaml', 'MAE beside SimMIM'],
      )}`,
    )
    .action(run);
}

async function run(recipes: string[], flags: Flags, command: Command): Promise<void> {
  const seeds = (value(flags, 'seeds', text('LIST')) ?? '0')
    .split(',')
    .map((seeds) => value({ seeds }, 'seeds', whole(0, 2 ** 32 - 1)) as number);
  const output = value(flags, 'output_dir', text('PATH'));
  const named = recipes.map((recipe) => {
    const name = basename(recipe).replace(/\.ya?ml$/i, '');
    return {
      recipe,
      name,
      folder: output === undefined ? join('runs', name) : recipes.length > 1 ? join(output, name) : output,
    };
  });
  const [{ study, studySettings, summary }, { lossMeasure }, { parsePretrainOptions }] = await Promise.all([
    import('../study.ts'),
    import('../train/configured.ts'),
    import('../train/options.ts'),
  ]);
  for (const { recipe } of named) studySettings(recipe); // told before a device is opened
  const pretraining = named.map(({ recipe }) => parsePretrainOptions({}, recipe));
  const reporter = makeReporter();
  const engine = await openEngine(globalsOf(command), { note: reporter.note });
  await interruptible(reporter, async (stop) => {
    const columnsOf: { name: string; results: StudyResult[] }[] = [];
    for (const { recipe, name, folder } of named) {
      const results: StudyResult[] = [];
      for (const seed of seeds) {
        if (seeds.length > 1 || named.length > 1) reporter.note(bold(`${name}, seed ${seed}`));
        results.push(await study(engine, { recipe, seed, folder: join(folder, `seed-${seed}`) }, reporter, stop));
        if (stop.aborted) return;
      }
      columnsOf.push({
        name: named.length > 1 ? name : pretraining[0].objective === 'simmim' ? 'SimMIM' : 'MAE',
        results,
      });
    }
    reporter.finish();
    for (const line of table(columnsOf, summary)) process.stdout.write(`${line}\n`);
    const measures = pretraining.map(lossMeasure);
    for (const [i, { name, results }] of columnsOf.entries()) {
      const losses = results.flatMap(({ heldout_loss }) => heldout_loss?.toFixed(4) ?? []).join(', ');
      const seconds = results.flatMap(({ seconds: parts }) => Object.values(parts)).reduce((a, b) => a + b, 0);
      process.stdout.write(
        `${name}: ${losses ? `held-out masked loss ${losses} (${measures[i]}); ` : ''}${(seconds / 60 / seeds.length).toFixed(0)} min a seed\n`,
      );
    }
    if (new Set(measures).size > 1)
      process.stdout.write('these losses are of different measures: they say nothing of which recipe is better\n');
    process.stdout.write(
      `${named.map(({ folder }) => folder).join(', ')}: logs, checkpoints and numbers (study.json)\n`,
    );
  });
}

/** Means over seeds, with their spread where there are several; the last column says how far ahead a single recipe's encoder is. */
function table(
  recipes: readonly { name: string; results: readonly StudyResult[] }[],
  summary: (values: readonly number[]) => Summary,
): string[] {
  const several = recipes[0].results.length > 1;
  const cell = ({ mean, spread }: Summary): string => `${mean.toFixed(2)}${several ? ` ± ${spread.toFixed(2)}` : ''}`;
  const rows: string[][] = [];
  const add = (what: string, of: (result: StudyResult, encoder: 'random' | 'mae') => number | undefined): void => {
    const random = recipes[0].results.map((r) => of(r, 'random') ?? Number.NaN);
    const trained = recipes.map(({ results }) => results.map((r) => of(r, 'mae') ?? Number.NaN));
    if ([random, ...trained].flat().some(Number.isNaN)) return;
    const ahead = recipes.length > 1 ? [] : [cell(summary(trained[0].map((x, i) => x - random[i])))];
    rows.push([what, cell(summary(random)), ...trained.map((values) => bold(cell(summary(values)))), ...ahead]);
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
  const over = several ? ', mean ± (largest - smallest)' : '';
  const names = recipes.map(({ name }) => name);
  const head = [`test top-1 in %${over}`, 'random encoder', ...names, ...(recipes.length > 1 ? [] : ['ahead'])];
  return columns([head.map((name) => dim(name)), ...rows], [1, 2, 3, 4]);
}
