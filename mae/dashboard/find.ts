// The runs that folders hold: each is a run's own, or has such in it.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FACTS } from '../train/journal.ts';
import { misuse } from '../usage.ts';

const OF_A_RUN = [FACTS, 'metrics.jsonl', 'log.txt'];

/** @throws UsageError where a path is no folder, or holds no run @returns folders, each once */
export async function runsIn(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map(async (path) => {
      const about = await stat(path).catch(() =>
        misuse(`dashboard: there is no ${path}: give folders of runs, or one that holds them`),
      );
      if (!about.isDirectory()) misuse(`dashboard: ${path} is a file: name the output_dir of a run`);
      const runs = await runsAt(path);
      if (!runs.length)
        misuse(`dashboard: ${path} holds no run: name the output_dir of pretrain or finetune, or a folder of such`);
      return runs;
    }),
  );
  return [...new Set(found.flat())];
}

/** The same later on: what is there by now, and no word of what is not. */
export async function runsBy(paths: readonly string[]): Promise<string[]> {
  return [...new Set((await Promise.all(paths.map(runsAt))).flat())];
}

async function runsAt(path: string): Promise<string[]> {
  if (await isRun(path)) return [path];
  const names = (await readdir(path).catch(() => [] as string[])).sort();
  const inside = names.map(async (name) => ((await isRun(join(path, name))) ? [join(path, name)] : []));
  return (await Promise.all(inside)).flat();
}

async function isRun(path: string): Promise<boolean> {
  const names = await readdir(path).catch(() => [] as string[]);
  return names.some((name) => OF_A_RUN.includes(name));
}
