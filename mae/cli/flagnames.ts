// What flags may be called: dashes for underscores, three names of where results go, and what --no_NAME cannot turn off.
import type { Command, CommanderError, Option } from 'commander';
import { misuse } from '../usage.ts';

/** `--batch-size` and `--batch_size` are the same flag; what follows `--` is left alone. */
export function underscored(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((arg, i) => {
    if (!arg.startsWith('--') || arg.length < 3 || (end >= 0 && i >= end)) return arg;
    const [name] = arg.split('=', 1);
    return `--${name.slice(2).replaceAll('-', '_')}${arg.slice(name.length)}`;
  });
}

/** What says where results go: files, or the folder of a run, whose name is the reference's. A command has one, and the others mean the same. */
const OUTPUTS = ['--output', '--output_dir', '--out'] as const;

export function oneOutput(argv: readonly string[], command: Command): readonly string[] {
  const has = (name: string): boolean =>
    [command, ...command.commands].some(({ options }) => options.some(({ long }) => long === name));
  const own = OUTPUTS.find(has);
  if (own === undefined) return argv;
  const nameIn = (arg: string): string | undefined =>
    OUTPUTS.find((name) => arg === name || arg.startsWith(`${name}=`));
  const said = [...new Set(argv.flatMap((arg) => nameIn(arg) ?? []))];
  if (said.length > 1) misuse(`${said.join(' and ')} mean the same: keep one`);
  return argv.map((arg) => `${nameIn(arg) ? own : ''}${arg.slice(nameIn(arg)?.length ?? 0)}`);
}

/** `--no_NAME` of a flag that cannot be turned off: commander's guess, --NAME, would be the opposite. */
export function refuseNegation(program: Command, { message }: CommanderError): void {
  const name = /^error: unknown option '--no_(\w+)/.exec(message)?.[1];
  const all = (command: Command): Option[] => [...command.options, ...command.commands.flatMap(all)];
  const option = all(program).find(({ long }) => long === `--${name}`);
  if (!option) return;
  const { flags, required, optional } = option;
  const what =
    required || optional ? `${flags} takes a value and cannot be turned off` : `--${name} is off unless given`;
  misuse(`--no_${name}: ${what}: leave it out`);
}
