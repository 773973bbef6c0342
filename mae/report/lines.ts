// Lines of a run's logs.

/** Numbers by their names in the logs. */
export type Line = Readonly<Record<string, number>>;

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
