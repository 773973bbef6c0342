// What the commands share: their common flags, the device that these choose, and text for the help.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { type Command, Option } from 'commander';
import type { Device } from '../../engine/device.ts';
import type { Engine } from '../../engine/engine.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { PROFILES, type Profile } from '../../kernels/kernel.ts';
import type { Kind } from '../train/flags.ts';
import { isSwitch, OFF } from '../train/switches.ts';
import type { OptionSpec, OptionTable, Unused } from '../train/table.ts';
import type { Precision } from '../../engine/trace.ts';
import { asUsage, meant, misuse, partMeant } from '../usage.ts';

/** What every file of a command exports: it adds arguments, flags, help and the action. */
export interface CommandFile {
  define(command: Command): void;
}

export interface Globals {
  readonly profile?: Profile;
  readonly adapter?: string;
  /** Kernels run with what they choose by themselves, not with what `tesserae tune` measured. */
  readonly untuned?: boolean;
  /** Without Dawn's checks of bounds and calls. */
  readonly unchecked?: boolean;
}

/** What every command takes that asks for a model. */
export const WEIGHTS_HELP =
  'a checkpoint of ours, or weights of facebookresearch/mae, Hugging Face or timm: a file, a folder, an address, OWNER/NAME of the hub';

/** The flags that hold for every command, wherever they stand. */
export function globalsOf(command: Command): Globals {
  const { profile, adapter, untuned, unchecked } = command.optsWithGlobals() as { profile?: string } & Globals;
  if (profile !== undefined && !PROFILES.includes(profile as Profile)) {
    misuse(`--profile must be one of ${PROFILES.join(', ')}, got ${profile}`);
  }
  return { profile: profile as Profile | undefined, adapter, untuned, unchecked };
}

/** Flags of a command as commander gives them, text, or true for a switch; or values that have been read already. */
export type Flags = Readonly<Record<string, string | boolean | number | undefined>>;

/** The checked value of a flag; undefined where it was not given. */
export function value<T>(flags: Flags, name: string, kind: Kind<T>): T | undefined {
  const given = flags[name];
  if (given === undefined) return undefined;
  const result = kind.schema.safeParse(given);
  return result.success
    ? result.data
    : misuse(
        `--${name} must be ${kind.rule}, got ${given === '' ? "''" : given}${meant(kind.names, given)}${partMeant(kind.percent, given)}`,
      );
}

/** `--name <VALUE>`, or `--name` of a switch. */
export const flagText = (name: string, value: string): string => (value ? `--${name} <${value}>` : `--${name}`);

/** Every option of a table as a flag, and --config for a file of them. */
export function addOptions(command: Command, table: OptionTable): void {
  for (const [name, spec] of Object.entries(table)) {
    command.addOption(new Option(flagText(name, spec.kind.value), helpOf(spec)).helpGroup(`${spec.group}:`));
    if (isSwitch(spec)) command.addOption(new Option(`--${OFF}${name}`).hideHelp().helpGroup(`${spec.group}:`));
  }
  command.addOption(
    new Option(
      '--config <FILE>',
      'YAML with any of these names as keys, in sections or not (mae/recipes has some); flags beat the file, and --no_NAME turns a switch of it off',
    ).helpGroup('Output:'),
  );
}

/** Flags of another program that are accepted and mean nothing here; the help leaves them out. */
export function addUnused(command: Command, unused: Unused): void {
  for (const [name, { value }] of Object.entries(unused))
    command.addOption(new Option(flagText(name, value)).hideHelp());
}

/** The flag of a run that shows itself. */
export function addDashboard(command: Command): void {
  command.addOption(
    new Option(
      '--dashboard [PORT]',
      'watch the run in a browser on this machine while it trains; the address is printed (tesserae dashboard shows it afterwards)',
    ).helpGroup('Output:'),
  );
}

/** What adds a flag to a command, under a heading of its help. */
export const flagsUnder =
  (command: Command, heading: string) =>
  (flags: string, help: string): void =>
    void command.addOption(new Option(flags, help).helpGroup(`${heading}:`));

function helpOf({ help, standard, kind }: OptionSpec<unknown>): string {
  const plain = standard === undefined || !kind.value || standard === '' || help.includes('(default');
  return plain ? help : `${help} (default: ${standard})`;
}

const sayOnStderr = (line: string): void => void process.stderr.write(`${line}\n`);

/** An engine on the device that the flags, or the launcher, chose. `note` is told what the user should know of the choice. */
export async function openEngine(
  { profile, adapter, untuned, unchecked }: Globals,
  {
    note = sayOnStderr,
    raiseLimits = true,
    precision,
    planOnly = false,
  }: { planOnly?: boolean; note?: (line: string) => void; raiseLimits?: boolean; precision?: string } = {},
): Promise<Engine> {
  const [{ openDawn, UNCHECKED }, { Engine: Class }, { usePicks }] = await Promise.all([
    import('../../engine/node/dawn.ts'),
    import('../../engine/engine.ts'),
    import('./picks.ts'),
  ]);
  // A launcher that started this process has already turned --adapter into an environment and a Dawn adapter.
  const launched = Boolean(process.env.TESSERAE_ADAPTER_KIND);
  const watch = { slow: note };
  const open = (as: Profile | undefined): Promise<Device> =>
    openDawn({
      profile: as,
      raiseLimits,
      watch,
      toggles: unchecked ? UNCHECKED : [],
      ...(launched ? {} : { adapter }),
    }).catch((error: Error) => {
      const names = [...error.message.matchAll(/name: '([^']*)'/g)].map(([, name]) => name);
      if (adapter === undefined || launched) throw error;
      return misuse(
        `--adapter ${adapter}: no adapter has that in its name; there ${names.length === 1 ? 'is' : 'are'} ${names.join('; ') || 'none'}`,
      );
    });
  let device = await open(profile);
  // Tensor cores take f16 alone, so only who asks for that gets them unasked; on software adapters they are slower.
  if (!profile && precision === 'f16' && !device.adapter.software && device.traits.matrices.length > 0) {
    device.dispose();
    device = await open('matrix');
  }
  if (profile === 'matrix' && device.traits.matrices.length === 0)
    note('profile matrix: this adapter has no subgroup matrices, products are computed as in profile simt');
  await usePicks(device, untuned, note);
  return asUsage(() => new Class(device, { precision: precision as Precision | undefined, planOnly }));
}

/** Where a command writes to whose last argument may say so, or --output. */
export function outOf(place: string | undefined, flags: Flags): string | undefined {
  const output = flags.output === undefined ? undefined : String(flags.output);
  if (output === '') misuse('--output is empty: name what to write');
  if (place !== undefined && output !== undefined)
    misuse(`OUT ${place} and --output ${output} mean the same: keep one`);
  return place ?? output;
}

/** Makes the folder that a file goes into, before the work that the file is of. */
export async function makeFolderOf(path: string, flag: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true }).catch((error: unknown) =>
    misuse(`${flag} ${path}: its folder cannot be made: ${reasonOf(error)}`),
  );
}

/** Where a file cannot be written because nothing has its folder's name. */
export const NO_FOLDER = { absent: 'make its folder first, or choose another' } as const;

/** What the help of a training command says of what may go wrong. */
export const ACCIDENTS = `
When something goes wrong:
  a lost device      another is opened, and the run goes on from the last copy of its state (seconds ago) to the same bits
  a hang             after 30 s, and what the work may take, the device is given up; the kernel that does not come back is named
  a NaN              a step whose loss or gradients are not finite changes nothing; its first bad tensor and its images are named.
                     After three in a row, or where weights or moments are hit, the run goes back to the last good state and leaves
                     out the batches in between; if that does not help three times it ends, and its checkpoints are good
  Ctrl-C, SIGTERM,   saves and ends within 5 s, without the step that it is at where that takes long; --resume auto goes on
  a closed terminal  (under setsid or tmux a run outlives its terminal; Node takes nohup's protection away)
  a full disk        costs a save, not the run
`;

/** Examples for the end of a command's help, as they are typed: in a clone and beside a package, npx finds the program. */
export const examples = (...lines: readonly (readonly [command: string, what: string])[]): string =>
  `\nExamples:\n${lines.map(([command, what]) => `  $ ${command.replaceAll(/(^|&& )tesserae /g, '$1npx tesserae ')}${what && `\n      ${what}`}`).join('\n')}\n`;

/** A path within a command that a user may paste: quoted for the shell where it has to be. */
export const pasted = (path: string): string =>
  /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;

/** Columns of text, padded; numbers are right-aligned where `right` says so. Widths count what is seen, not colour codes. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const seen = (cell: string): number => stripVTControlCharacters(cell).length;
  const widths = rows[0].map((_, c) => Math.max(...rows.map((row) => seen(row[c]))));
  const pad = (cell: string, c: number): string => {
    const space = ' '.repeat(widths[c] - seen(cell));
    return right.includes(c) ? space + cell : cell + space;
  };
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}
