// Tables of options: the one source of a command's flags, of the keys of its config file, of their errors and of the help.
import { readFileSync, statSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { meant, misuse, partMeant, suggestion, UsageError } from '../usage.ts';
import type { Kind } from './flags.ts';
import { isSwitch, OFF } from './switches.ts';

export interface OptionSpec<T, D extends T | undefined = T | undefined> {
  readonly kind: Kind<T>;
  /** undefined: optional. */
  readonly standard: D;
  readonly group: string;
  readonly help: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec<unknown>>>;
type ValueOf<O> = O extends OptionSpec<infer T, infer D> ? (undefined extends D ? T | undefined : T) : never;
export type ValuesOf<Table> = { readonly [N in keyof Table]: ValueOf<Table[N]> };
/** Values, or their text, by name. */
export type Flags = Readonly<Record<string, unknown>>;

export const required = <T>(kind: Kind<T>, standard: T, group: string, help: string): OptionSpec<T, T> => ({
  kind,
  standard,
  group,
  help,
});
export const optional = <T>(kind: Kind<T>, group: string, help: string): OptionSpec<T, undefined> => ({
  kind,
  standard: undefined,
  group,
  help,
});

/** What a config file may group its keys under; `study` is another command's. */
const SECTIONS = ['model', 'data', 'optim', 'schedule', 'output'] as const;
const ELSEWHERE = 'study';

/**
 * By name: what stands for the value in the help, why it means nothing here, and the one value that it may have, if not any; null: it may not be
 * given at all.
 */
export type Unused = Readonly<Record<string, { value: string; why: string; only?: string | null }>>;

/** Takes note of a flag of another program that means nothing here. @throws UsageError where it would have meant something else */
export function passOver(unused: Unused, name: string, value: unknown, said: string, note: (line: string) => void) {
  const { only, why } = unused[name];
  if (only === null) misuse(`${said} cannot be had: ${why}`);
  if (only !== undefined && String(value) !== only && Number(value) !== Number(only))
    misuse(`${said} must be ${only}: ${why}, got ${value}`);
  note(`${said} is not used: ${why}`);
}

interface Sources {
  readonly flags: Flags;
  /** YAML: flags beat it, it beats the defaults. */
  readonly configFile?: string;
  /** Values that beat the defaults alone: the recipe of a run that is resumed. */
  readonly beneath?: Flags;
  /** Flags of another program that are accepted and mean nothing here. */
  readonly unused?: Unused;
  /** Called with a line for every flag that is accepted but means nothing here. */
  readonly note: (line: string) => void;
}

/** Config files are a few lines; without a bound one of nested brackets could keep the parser for minutes. */
const MAX_CONFIG_BYTES = 100_000;

/** @throws UsageError that names flag or key, value and rule */
export function readOptions<Table extends OptionTable>(table: Table, sources: Sources): ValuesOf<Table> {
  const said = givenOptions(table, sources);
  const resumed = checkKeys(table, sources.beneath ?? {}, (key) => `the checkpoint's ${key}`, sources);
  const values = Object.entries(table).map(([name, { standard }]) => [name, said[name] ?? resumed[name] ?? standard]);
  return Object.fromEntries(values) as ValuesOf<Table>;
}

/**
 * What flags and config file say, without the defaults.
 * @throws UsageError that names flag or key, value and rule
 */
export function givenOptions<Table extends OptionTable>(table: Table, sources: Sources): Partial<ValuesOf<Table>> {
  const { flags, configFile } = sources;
  const file = configFile === undefined ? {} : flattened(readConfig(configFile), configFile, table);
  const fromFile = checkKeys(table, file, (key) => `--config ${configFile}: ${key}`, sources, configFile);
  const fromFlags = checkKeys(table, flags, (key) => `--${key}`, sources);
  return { ...fromFile, ...fromFlags } as Partial<ValuesOf<Table>>;
}

/** Names and values of one source. */
function checkKeys(
  table: OptionTable,
  given: Flags,
  say: (key: string) => string,
  { unused = {}, note }: Sources,
  configFile?: string,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [written, said] of Object.entries(given)) {
    if (said === undefined || said === null) continue;
    const plain = written.replaceAll('-', '_');
    const of = table[plain.slice(OFF.length)];
    const off = plain.startsWith(OFF) && configFile === undefined && of !== undefined && isSwitch(of);
    const [name, value] = off ? [plain.slice(OFF.length), !said] : [plain, said];
    if (Object.hasOwn(unused, name)) {
      passOver(unused, name, value, say(name), note);
      continue;
    }
    if (!Object.hasOwn(table, name)) {
      const where = configFile === undefined ? `--${written}` : `--config ${configFile}: the key ${written}`;
      const known = [...Object.keys(table), ...Object.keys(unused)];
      misuse(`${where} is not known${suggestion(name, known, configFile === undefined ? '--' : '')}`);
    }
    const { kind } = table[name];
    if (name in values) misuse(`${say(name)} is given twice: keep one`);
    const result = kind.schema.safeParse(value);
    if (!result.success)
      misuse(
        `${say(name)} must be ${kind.rule}, got ${show(value)}${meant(kind.names, value)}${partMeant(kind.percent, value)}`,
      );
    values[name] = (result as z.ZodSafeParseSuccess<unknown>).data;
  }
  return values;
}

/** The keys of a file's sections beside those outside of any; a preset's name may stand at `model`, which is a section, too. */
function flattened(file: Flags, path: string, table: OptionTable): Flags {
  const flat: Record<string, unknown> = Object.create(null); // __proto__ is a key like any other
  const put = (key: string, value: unknown): void => {
    if (key in flat) misuse(`--config ${path}: the key ${key} is given twice, in two sections: keep one`);
    flat[key] = value;
  };
  for (const [key, value] of Object.entries(file)) {
    const nested = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!nested) put(key, value);
    else if ((SECTIONS as readonly string[]).includes(key)) for (const [k, v] of Object.entries(value)) put(k, v);
    else if (key !== ELSEWHERE && !Object.hasOwn(table, key)) {
      misuse(
        `--config ${path}: there is no section ${key}${suggestion(key, SECTIONS) || `; there are ${SECTIONS.join(', ')}`}`,
      );
    } else if (key !== ELSEWHERE) put(key, value);
  }
  return flat;
}

/** A YAML file's top level. */
export function readConfig(path: string, what = '--config'): Flags {
  let source: string;
  try {
    const found = statSync(path);
    if (!found.isFile()) misuse(`${what} ${path}: is a folder or a device: name a file`);
    if (found.size > MAX_CONFIG_BYTES)
      misuse(`${what} ${path}: has ${found.size} bytes, a config file at most ${MAX_CONFIG_BYTES}: is it one?`);
    source = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    misuse(`${what} ${path}: ${reasonOf(error, { absent: 'name a YAML file, such as those of mae/recipes' })}`);
  }
  let value: unknown;
  try {
    value = parse(source, { logLevel: 'error' });
  } catch (error) {
    misuse(`${what} ${path}: ${(error as Error).message.split('\n')[0].replace(/:$/, '')}`);
  }
  if (value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    misuse(`${what} ${path}: must hold lines of the form key: value`);
  return value as Flags;
}

/** A value for a message: one line, and not a long one. */
function show(value: unknown): string {
  // JSON has no NaN and no cycles.
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : asJson(value);
  if (text === '') return "''";
  const line = text.replace(/\s+/g, ' ');
  return line.length > 100 ? `${line.slice(0, 100)}...` : line;
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return 'a structure that contains itself';
  }
}
