// Runs beside one another: their curves by epoch, and where two of them part.
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fail } from '../engine/errors.ts';
import { epochsDone, epochText } from './report/lines.ts';
import { lossMeasure } from './train/configured.ts';
import type { RunFacts } from './train/facts.ts';
import { FACTS } from './train/journal.ts';
import { parsePretrainOptions } from './train/options.ts';
import { misuse } from './usage.ts';

/** Numbers of one epoch, as log.txt has them. */
export type EpochLine = Readonly<Record<string, number>>;

export interface RunLog {
  /** What it is called in tables and legends. */
  readonly name: string;
  /** In order; `epoch` counts from 0, and `part` says how much of it was done where a run ended within it. */
  readonly lines: readonly EpochLine[];
  /** What its loss measures, where it is pretraining and says so. */
  readonly measure?: string;
}

/** Of these metrics a larger value is better; of the others (losses) a smaller one. */
const LARGER = /acc|top1|top5|rank/;

/** Several logs, told apart: runs whose folders have one name are called by the paths that they were given by. */
export async function readRuns(paths: readonly string[]): Promise<RunLog[]> {
  const runs = await Promise.all(paths.map(readRun));
  const namesakes = (name: string): number => runs.filter((run) => run.name === name).length;
  return runs.map((run, i) => (namesakes(run.name) > 1 ? { ...run, name: paths[i] } : run));
}

/** The log of a run's folder, of a recipe (the file beside it, NAME.log.txt), or a log file itself. */
export async function readRun(path: string): Promise<RunLog> {
  const isFolder = (
    await stat(path).catch(() =>
      misuse(`compare: there is no ${path}: name the output_dir of a run, a log.txt, or a recipe`),
    )
  ).isDirectory();
  const recipe = /\.ya?ml$/i.test(path);
  const file = isFolder ? join(path, 'log.txt') : recipe ? path.replace(/\.ya?ml$/i, '.log.txt') : path;
  const text = await readFile(file, 'utf8').catch(() =>
    misuse(
      recipe
        ? `compare: no run stands beside the recipe ${path}: ${file} is missing`
        : `compare: ${path} has no log.txt: name the output_dir of a run that has ended, or finished an epoch`,
    ),
  );
  const name = recipe ? basename(path) : isFolder ? basename(resolve(path)) : basename(path);
  const lines = text
    .split('\n')
    .filter(Boolean)
    .map((line, i) => parseLine(line, `${file}, line ${i + 1}`));
  if (!lines.length) misuse(`compare: ${file} is empty: the run has not finished an epoch yet`);
  const measure = await measureOf(path, recipe);
  return { name, lines, ...(measure === undefined ? {} : { measure }) };
}

/** As the recipe says, or the facts beside a run's log; undefined where neither can be read. */
async function measureOf(path: string, recipe: boolean): Promise<string | undefined> {
  try {
    if (recipe) return lossMeasure(parsePretrainOptions({}, path));
    const { command, options } = JSON.parse(await readFile(join(path, FACTS), 'utf8')) as RunFacts;
    return command === 'pretrain' ? lossMeasure(options) : undefined;
  } catch {
    return undefined;
  }
}

/** A sentence where the losses of runs measure different things; else null. */
export function measuresApart(runs: readonly RunLog[]): string | null {
  const known = runs.filter(({ measure }) => measure !== undefined);
  if (new Set(known.map(({ measure }) => measure)).size < 2) return null;
  const each = known.map(({ name, measure }) => `${name}: ${measure}`).join('; ');
  return `the losses are of different measures, and say nothing of which run is better (${each})`;
}

function parseLine(line: string, where: string): EpochLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    fail(`compare: ${where} is not JSON: is it a log of a run?`);
  }
  const entries = Object.entries(value ?? {}).filter((entry): entry is [string, number] => Number.isFinite(entry[1]));
  const found = Object.fromEntries(entries);
  if (found.epoch === undefined) fail(`compare: ${where} has no epoch: is it a log of a run?`);
  return found;
}

/** Metrics that at least two runs have, losses first. */
export function sharedMetrics(runs: readonly RunLog[]): string[] {
  const counts = new Map<string, number>();
  for (const { lines } of runs) {
    const names = new Set(lines.flatMap((line) => Object.keys(line)));
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const shared = [...counts].filter(([name, n]) => n > 1 && !/^(epoch|part|train_lr|n_parameters)$/.test(name));
  return shared.map(([name]) => name).sort((a, b) => Number(LARGER.test(a)) - Number(LARGER.test(b)));
}

export interface Parting {
  readonly metric: string;
  /** Epochs that both have. */
  readonly epochs: number;
  /** Where the last of them ends, in epochs, and the values there. */
  readonly last: number;
  readonly a: number;
  readonly b: number;
  /** (b - a) / |a| at the last common epoch. */
  readonly difference: number;
  /** Where the first epoch ends from which on they differ by more than `within` to the end; null where they end together. */
  readonly from: number | null;
  /** Whether b ends better than a. */
  readonly better: boolean;
}

/** Where `b` parts from `a` in a metric; null where no epoch has it in both. */
export function parting(a: RunLog, b: RunLog, metric: string, within: number): Parting | null {
  // Within an epoch two runs stand together only where both ended at the same part of it.
  const other = new Map(b.lines.filter((line) => metric in line).map((line) => [epochsDone(line), line[metric]]));
  const common = a.lines.filter((line) => metric in line && other.has(epochsDone(line)));
  const end = common.at(-1);
  if (!end) return null;
  const apart = (line: EpochLine): number =>
    ((other.get(epochsDone(line)) as number) - line[metric]) / Math.abs(line[metric]);
  let from: number | null = null;
  for (const line of common) {
    if (Math.abs(apart(line)) <= within) from = null;
    else from ??= epochsDone(line);
  }
  const difference = apart(end);
  const better = LARGER.test(metric) ? difference > 0 : difference < 0;
  return {
    metric,
    epochs: common.length,
    last: epochsDone(end),
    a: end[metric],
    b: other.get(epochsDone(end)) as number,
    difference,
    from,
    better,
  };
}

/** A sentence: `heldout_loss: 3.1 % better from epoch 4 on`. An epoch is named by its end, as on the progress bar: the first is 1. */
export function verdict({ epochs, last, difference, from, better }: Parting, within: number): string {
  const percent = (x: number): string => `${(100 * Math.abs(x)).toFixed(1)} %`;
  if (from === null)
    return `together: within ${percent(within)} at epoch ${epochText(last)}, the last of ${epochs} in common`;
  const how = `${percent(difference)} ${better ? 'better' : 'worse'} at epoch ${epochText(last)}`;
  return `apart from epoch ${epochText(from)} on: ${how}`;
}
