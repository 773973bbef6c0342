// Lines of a run's logs.

/** Numbers by their names in the logs. */
export type Line = Readonly<Record<string, number>>;

/** Epochs that were done after a line of log.txt: its `epoch` counts from 0, and `part` says how much of that one was done, where not all. */
export const epochsDone = ({ epoch, part = 1 }: Line): number => epoch + part;

/** The same as a reader likes it. */
export const epochText = (done: number): string => String(Math.round(100 * done) / 100);

/** Finite numbers of a line of JSON; null where it is none. */
export function numbersOf(text: string): Line | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
    return Object.fromEntries(
      Object.entries(value).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
    );
  } catch {
    return null;
  }
}
