// Set-up as the commands share it: packages first (an adapter is probed with one of them), then the adapter.
import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { chooseAdapter } from './adapter.mjs';
import { root } from './cache.mjs';
import { ensurePackages } from './packages.mjs';

/** @returns the chosen adapter, as chooseAdapter describes it */
export async function prepare({ adapter, quiet = false, again = false } = {}) {
  await ensurePackages({ quiet });
  makeRunnable(join(root, 'tools', 'tesserae.mjs'));
  return chooseAdapter({ name: adapter, quiet, install: true, again });
}

/** `npx tesserae` starts this file itself; an unpacked archive may have lost its mode. */
function makeRunnable(path) {
  try {
    if (!(statSync(path).mode & 0o100)) chmodSync(path, 0o755);
  } catch {
    // not ours to change: npx then says so
  }
}
