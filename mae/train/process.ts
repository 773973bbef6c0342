// Which process a run is of, so that others can tell whether it still lives: a number alone may by then be another's.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ProcessFacts } from './facts.ts';

export const thisProcess = (): ProcessFacts => ({
  pid: process.pid,
  host: hostname(),
  started: standing(process.pid)?.started ?? null,
});

/** null where that cannot be known from here: it is, or was, on another machine. */
export function isAlive({ pid, host, started }: ProcessFacts): boolean | null {
  if (host !== hostname()) return null;
  const found = standing(pid);
  if (found) return !found.dead && (started === null || found.started === started);
  if (started !== null) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** As Linux tells of a process; null elsewhere, and where there is none. A dead one stays listed until its parent asks for it. */
function standing(pid: number): { started: string; dead: boolean } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold anything; field 3 is the state, 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { started: fields[19], dead: ['Z', 'X'].includes(fields[0]) };
  } catch {
    return null;
  }
}
