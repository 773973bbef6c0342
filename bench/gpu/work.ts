// What every part of `bench gpu` works with, and the device that it works on.
import type { Device } from '../../engine/device.ts';
import { openDawn } from '../../engine/node/dawn.ts';
import { usePicks } from '../../mae/cli/picks.ts';
import type { Harness } from './checks.ts';
import type { Part } from './parts.ts';
import type { Mode, Options, Row } from './report.ts';

/** What a part works with. */
export interface Work {
  readonly part: Part;
  readonly options: Options;
  readonly mode: Mode;
  readonly harness: Harness;
  readonly emit: (row: Row) => void;
  readonly note: (text: string) => void;
  /** Milliseconds of the budget that are left. */
  readonly left: () => number;
}

/** A device with the settings that were asked for. */
export async function openFor({ mode, options, note }: Work, toggles: readonly string[] = []): Promise<Device> {
  const device = await openDawn({ profile: mode.profile, adapter: options.adapter ?? undefined, toggles });
  // A new device has those that ship.
  if (options.picks !== 'shipped') await usePicks(device, options.picks === 'none', note);
  return device;
}

/** Of single calls, where the numbers only have to be there. */
export const QUICK = { samples: 1, submitMs: 0 };
