// What the benches print and leave: how their rows look, and how they are written.
import { writeFileSync } from 'node:fs';
import { Option, type Command } from 'commander';
import type { Device } from '../../engine/device.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { INSTALLED, moduleOf } from '../root.ts';
import { misuse } from '../usage.ts';
import { type Flags, NO_FOLDER } from './command.ts';

/** What was measured, its median time, and how far to trust that: slowest over fastest sample, less 1. */
export interface BenchRow {
  readonly name: string;
  readonly ms: number;
  readonly spread: number;
}

export interface BenchReport<R extends BenchRow = BenchRow> {
  readonly tool: string;
  readonly version: string;
  /** ISO 8601. */
  readonly date: string;
  /** Names card, driver and width of subgroups: figures are to be compared within one. */
  readonly adapter: string;
  /** Adapter, features, versions, machine. */
  readonly conditions: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly rows: readonly R[];
}

/** bench sees mae and not the other way round, so its files are found at run time. */
export const loadBench = <T>(name: string): Promise<T> => import(moduleOf(`bench/${name}`));

/** For benches that read or rewrite what a clone alone has. */
export const needsClone = (what: string): void =>
  void (INSTALLED && misuse(`${what} runs in a clone of the repository, and this is an installed package`));

export const print = (line: string): void => void process.stdout.write(`${line}\n`);

export const addJson = (command: Command): void =>
  void command.addOption(
    new Option(
      '--json [FILE]',
      'figures and conditions as JSON: into a file, or without FILE instead of the text',
    ).helpGroup('Measuring:'),
  );

/**
 * Takes the report to where --json wants it; true where nothing else is to be printed. A file that cannot be written is refused now: a long
 * measurement must not end in that.
 */
export function jsonOf({ json }: Flags): (report: object) => boolean {
  if (json === undefined) return () => false;
  if (json === true) {
    return (report) => {
      print(JSON.stringify(report));
      return true;
    };
  }
  const write = (report: string, flag: 'a' | 'w'): void => {
    try {
      writeFileSync(String(json), report, { flag });
    } catch (error) {
      misuse(`--json ${json}: ${reasonOf(error, NO_FOLDER)}`);
    }
  };
  write('', 'a');
  return (report) => {
    write(`${JSON.stringify(report, null, 1)}\n`, 'w');
    return false;
  };
}

export const adapterLine = ({ adapter, traits }: Device, precision: string): string =>
  `${adapter.description}, profile ${traits.profile}, precision ${precision}`;

/** Between two plain lines. */
const LINE_MS = 10_000;

/** Says where a long measurement stands: on a terminal in one line, which '' takes away, elsewhere in a plain one now and then. */
export function makeStanding(
  stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'> = process.stderr,
  now: () => number = () => performance.now(),
): (line: string) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (line) => {
    if (stream.isTTY) stream.write(`\r\x1b[K${line.slice(0, (stream.columns || 100) - 1)}`);
    else if (line && now() - last >= LINE_MS) {
      last = now();
      stream.write(`${line}\n`);
    }
  };
}

export const showStanding = makeStanding();
