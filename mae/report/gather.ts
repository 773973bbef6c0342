// What a run's folder holds, as far as a report shows it.
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { RunFacts } from '../train/facts.ts';
import { FACTS } from '../train/journal.ts';
import { PICTURES, pictureEpoch } from '../train/progress-pictures.ts';
import { misuse } from '../usage.ts';
import { type Line, numbersOf } from './lines.ts';
import { parseFacts } from './runfacts.ts';

export interface RunFolder {
  readonly path: string;
  readonly name: string;
  /** null for runs of before there was a run.json. */
  readonly facts: RunFacts | null;
  /** log.txt: one line an epoch. */
  readonly epochs: readonly Line[];
  /** metrics.jsonl: one line a step or an evaluation. */
  readonly metrics: readonly Line[];
  /** Images rebuilt during training: PNG files by epoch, in order; 0 is before the first. */
  readonly pictures: readonly { readonly epoch: number; readonly png: Uint8Array }[];
  /** What the pictures show: originals, and what the model saw of them. */
  readonly shown: { readonly original: Uint8Array; readonly masked: Uint8Array } | null;
}

/** @throws UsageError where the folder is of no run */
export async function readRunFolder(path: string): Promise<RunFolder> {
  const found = await stat(path).catch(() => null);
  if (!found) misuse(`report: there is no ${path}: give the folder of a run, what pretraining calls --output_dir`);
  if (!found.isDirectory()) misuse(`report: ${path} is a file: name the output_dir of a run`);
  const [metrics, epochs, facts] = await Promise.all([
    readLines(join(path, 'metrics.jsonl')),
    readLines(join(path, 'log.txt')),
    readFacts(join(path, FACTS)),
  ]);
  if (!metrics.length)
    misuse(`report: ${path} has no metrics.jsonl with numbers in it: name the output_dir of a run that made a step`);
  const folder = join(path, PICTURES);
  const names = (await readdir(folder).catch(() => [])).filter((name) => pictureEpoch(name) !== null);
  const pictures = await Promise.all(
    names.map(async (name) => ({ epoch: pictureEpoch(name) as number, png: await readFile(join(folder, name)) })),
  );
  pictures.sort((a, b) => a.epoch - b.epoch);
  const [original, masked] = await Promise.all(
    ['original.png', 'masked.png'].map((name) => readFile(join(folder, name)).catch(() => null)),
  );
  const shown = original && masked ? { original, masked } : null;
  return { path, name: basename(resolve(path)), facts, epochs, metrics, pictures, shown };
}

/** Lines of JSON with numbers; the last one may be cut off, where a run is being written or was killed. */
async function readLines(path: string): Promise<Line[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  return lines.flatMap((line, i) => {
    const numbers = numbersOf(line);
    if (numbers) return [numbers];
    if (i === lines.length - 1 && !text.endsWith('\n')) return [];
    return misuse(`report: ${path}, line ${i + 1}, is no line of JSON with numbers: is it a log of a run?`);
  });
}

async function readFacts(path: string): Promise<RunFacts | null> {
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  return (
    parseFacts(text) ??
    misuse(`report: ${path} is no JSON with facts of a run: delete it, the report then lacks what it says`)
  );
}
