// `tesserae compare RUN RUN|RECIPE…`: curves of runs over one another, and where they part.
import type { Command } from 'commander';
import picocolors from 'picocolors';
import { measuresApart, parting, readRuns, type RunLog, sharedMetrics, verdict } from '../compare.ts';
import { real, text } from '../train/flags.ts';
import { misuse } from '../usage.ts';
import { columns, examples, type Flags, makeFolderOf, value } from './command.ts';

const { dim, green, red } = picocolors;

export function define(command: Command): void {
  command
    .argument(
      '<runs...>',
      'two or more: output_dirs of runs, log.txt files, or recipes (.yaml) with their run beside them',
    )
    .option('--metric <NAMES>', 'these metrics, with commas between (default: all that the runs share)')
    .option('--within <X>', 'part of a value up to which two runs count as together (default: 0.02)')
    .option('--output <FILE>', 'where the chart goes (default: compare.svg)')
    .addHelpText(
      'after',
      `\nThe first run is what the others are held against, epoch by epoch.\n${examples(
        ['tesserae compare mae/recipes/cifar10-quick.yaml runs/mine', 'is my run as good as the published one so far?'],
        ['tesserae compare runs/mae runs/simmim --metric heldout_loss,knn_top1', 'two of your own'],
      )}`,
    )
    .action(run);
}

async function run(paths: string[], flags: Flags): Promise<void> {
  if (paths.length < 2) misuse('compare: name two runs at least');
  const within = value(flags, 'within', real()) ?? 0.02;
  const output = value(flags, 'output', text('FILE')) ?? 'compare.svg';
  if (!/\.svg$/i.test(output)) misuse(`--output must end in .svg, got ${output}`);
  const [{ compareCurves }, { writeFileAtomic }] = await Promise.all([
    import('../pictures/compare-curves.ts'),
    import('../../engine/node/files.ts'),
  ]);
  const runs = await readRuns(paths);
  const shared = sharedMetrics(runs);
  const asked = (value(flags, 'metric', text('NAMES')) ?? '').split(',').filter(Boolean);
  const wrong = asked.find((name) => !shared.includes(name));
  if (wrong !== undefined) misuse(`--metric ${wrong}: the runs share ${shared.join(', ') || 'none'}`);
  const metrics = asked.length ? asked : shared;
  if (!metrics.length) misuse('compare: the runs share no metric');
  const tables = pairTables(runs, metrics, within);
  if (!tables.length) misuse(`compare: ${runs[0].name} shares no epoch with the others`);
  await makeFolderOf(output, '--output');
  process.stdout.write(`${tables.map((lines) => `${lines.join('\n')}\n`).join('\n')}`);
  const apart = metrics.some((name) => /loss/.test(name)) ? measuresApart(runs) : null;
  if (apart) process.stdout.write(`${apart}\n`);
  await writeFileAtomic(output, await compareCurves(runs, metrics, runs.map(({ name }) => name).join(' | ')));
  process.stdout.write(`the curves are in ${output}\n`);
}

/** A table for each run beside the first, its columns called by the two: what they come to at the last epoch that both have. */
export function pairTables(
  [first, ...others]: readonly RunLog[],
  metrics: readonly string[],
  within: number,
): string[][] {
  return others.flatMap((other) => {
    const rows = metrics.flatMap((metric) => {
      const found = parting(first, other, metric, within);
      if (!found) return [];
      const colour = found.from === null ? dim : found.better ? green : red;
      return [[metric, number(found.a), number(found.b), colour(verdict(found, within))]];
    });
    const head = ['', first.name, other.name, ''].map((name) => dim(name));
    return rows.length ? [columns([head, ...rows], [1, 2])] : [];
  });
}

const number = (x: number): string => (Math.abs(x) < 10 ? x.toFixed(4) : x.toFixed(2));
