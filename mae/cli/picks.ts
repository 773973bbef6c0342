// Which measured settings a command runs with: those in the cache folder, before those that ship.
import { join } from 'node:path';
import type { Device } from '../../engine/device.ts';
import { PickFolder } from '../../engine/node/pickfolder.ts';
import { loadPicks } from '../../engine/picks.ts';
import { cacheDir } from '../data/cache.ts';

export const pickFolder = (): PickFolder => new PickFolder(join(cacheDir(), 'picks'));

/** Gives a device its picks, or none where `untuned`. A damaged table is told, and does without. */
export async function usePicks(
  device: Device,
  untuned: boolean | undefined,
  note: (line: string) => void,
): Promise<void> {
  if (untuned) device.picks = new Map();
  else await loadPicks(device, pickFolder()).catch((error: Error) => note(error.message));
}
