// CPU time of the thread that asks: what it worked, whatever else ran on the machine meanwhile.
import { readFileSync } from 'node:fs';

/** ms since the thread began; null where the system does not tell (anywhere but on Linux). */
export function threadCpu(): number | null {
  try {
    // Nanoseconds on a core, nanoseconds waiting for one, turns.
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6;
  } catch {
    return null;
  }
}
