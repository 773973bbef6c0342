// Mistakes in what a user asked for, as told apart from failures while doing it.
import { TesseraeError } from '../engine/errors.ts';

/** Wrong usage: a flag, a key of a config file, an argument. The command line ends with exit code 2, for failures with 1. */
export class UsageError extends TesseraeError {}

export function misuse(message: string): never {
  throw new UsageError(message);
}

/** The one of `names` that was probably meant by `typed`, or null where none is near. */
function nearest(typed: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(typed.length / 3)) + 1;
  for (const name of names) {
    const distance = name.startsWith(typed) && typed.length > 2 ? 0 : edits(typed.toLowerCase(), name.toLowerCase());
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

/** `; did you mean X?` or nothing. */
export function suggestion(typed: string, names: readonly string[], prefix = ''): string {
  const name = nearest(typed, names);
  return name === null ? '' : `; did you mean ${prefix}${name}?`;
}

/** Levenshtein distance. */
function edits(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/** Runs what checks sizes: what it throws is the user's mistake. */
export function asUsage<T>(fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    if (error instanceof TesseraeError) misuse(error.message);
    throw error;
  }
}

/** Of a list of names the one that was probably meant, for the end of a message. */
export const meant = (names: readonly string[] = [], value: unknown = ''): string =>
  typeof value === 'string' && value ? suggestion(value, names) : '';

/** `; did you mean 0.75?` of 75, where a part of a whole is asked for. */
export const partMeant = (isPart: true | undefined, value: unknown): string =>
  isPart && /^\d+(\.\d+)?$/.test(String(value)) && Number(value) >= 5 && Number(value) < 100
    ? `; did you mean ${Number((Number(value) / 100).toPrecision(12))}?`
    : '';
