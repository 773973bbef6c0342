// Options that are on or off: how they are told, and what turns off one that a file turned on. Nothing heavy: the help needs it.
import type { OptionSpec } from './table.ts';

/** Before the name of a switch. */
export const OFF = 'no_';
export const isSwitch = ({ kind }: OptionSpec<unknown>): boolean => kind.value === '';
