// Which split a file belongs to, told from words in its name or its folder's: what WebDataset shards, Hugging Face files and arrays go by.
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fail } from '../../../engine/errors.ts';

type Split = 'train' | 'val' | 'test';

const WORDS: Record<string, Split> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  test: 'test',
};

/** The split that a path names last; null where it names none. */
export function splitOf(path: string): Split | null {
  const words = path.toLowerCase().split(/[^a-z]+/);
  const found = words.findLast((word) => Object.hasOwn(WORDS, word));
  return found === undefined ? null : WORDS[found];
}

/** Folders that are looked into beside the one named: splits, and those of Hugging Face repositories. */
const WITHIN = /^(train|training|val|valid|validation|test|data|default)$/i;
const DEPTH = 2;

/** Files of an extension in a folder, sorted, as paths from it. */
export async function filesWithin(folder: string, extension: string, depth = DEPTH): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files: string[] = [];
  for (const entry of entries) {
    const kind = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => null) : entry;
    if (kind?.isFile() && entry.name.toLowerCase().endsWith(extension)) files.push(entry.name);
    else if (kind?.isDirectory() && depth > 0 && WITHIN.test(entry.name)) {
      const below = await filesWithin(join(folder, entry.name), extension, depth - 1);
      files.push(...below.map((path) => `${entry.name}/${path}`));
    }
  }
  return files.sort();
}

/** Files by their splits; those that name none are for training. A set without training files is what its files are, alone. */
export function bySplit(folder: string, files: readonly string[]): Record<Split, string[]> {
  const sets: Record<Split, string[]> = { train: [], val: [], test: [] };
  for (const file of files) sets[splitOf(file) ?? 'train'].push(join(folder, file));
  if (sets.train.length) return sets;
  const only = sets.val.length ? 'val' : 'test';
  if (sets.val.length && sets.test.length)
    fail(`${folder} has files of val and test, none of train: give the folder or the file of one of them`);
  return { train: sets[only], val: [], test: [] };
}

/** `shard-{000..009}.tar` to its files; a path without braces is itself. */
export function expandBraces(pattern: string): string[] {
  const match = /^(.*?)\{(\d+)\.\.(\d+)\}(.*)$/.exec(pattern);
  if (!match) return [pattern];
  const [, before, first, last, after] = match;
  const [from, to] = [Number(first), Number(last)];
  if (!(to >= from && to - from < 100_000))
    fail(`${basename(pattern)}: {${first}..${last}} must go up, through at most 100000 files`);
  const width = first.startsWith('0') || first.length === last.length ? first.length : 0;
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i).padStart(width, '0')).flatMap((number) =>
    expandBraces(`${before}${number}${after}`),
  );
}
