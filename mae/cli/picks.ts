// Which measured settings a command runs with: those in the cache folder, before those that ship.
import { join } from 'node:path';
import type { Device } from '../../engine/device.ts';
import { PickFolder } from '../../engine/node/pickfolder.ts';
import { picksOf, shippedTable } from '../../engine/picks.ts';
import { cacheDir } from '../data/cache.ts';

export const pickFolder = (): PickFolder => new PickFolder(join(cacheDir(), 'picks'));

/** Gives a device its picks, or none where `untuned`. A damaged table is told, and does without. */
export async function usePicks(
  device: Device,
  untuned: boolean | undefined,
  note: (line: string) => void,
): Promise<void> {
  const own = untuned
    ? null
    : await pickFolder()
        .read(device.adapter.id)
        .catch((error: Error) => {
          note(error.message);
          return null;
        });
  device.picks = untuned ? new Map() : picksOf(shippedTable(device.adapter), own);
}
