// Ends what npx or npm started once they are gone, for they do not pass on every signal that they get.
import { readFileSync } from 'node:fs';

const LOOK_MS = 500;
/** An & that is no part of &&, 2>&1 or &>. */
const BACKGROUND = /(?<![&<>])&(?![&>])/;

/**
 * npm passes a SIGTERM to the shell that it runs commands in, and that ends without a word to them; of a SIGHUP it ends itself. So what npx or
 * npm started looks whether both are still there, and is ended (a training run saves first) once one is not.
 */
export function followNpm(child) {
  const script = process.env.npm_lifecycle_script ?? '';
  // A command that a script puts into the background outlives its shell on purpose.
  if (!/\btesserae\b|\bstart\.mjs\b/.test(script) || BACKGROUND.test(script)) return () => {};
  const shell = process.ppid;
  const above = inShell(shell) ? parentOf(shell) : null;
  const timer = setInterval(() => {
    if (process.ppid === shell && (above === null || parentOf(shell) === above)) return;
    clearInterval(timer);
    child.kill('SIGTERM');
  }, LOOK_MS).unref();
  return () => clearInterval(timer);
}

/** Whether a process is a shell with a command as its argument; a shell may also have become the command. Known on Linux. */
const inShell = (pid) => read(`/proc/${pid}/cmdline`).split('\0')[1] === '-c';
/** null where the system does not tell. */
const parentOf = (pid) => /\) \S (\d+)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? null;

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
