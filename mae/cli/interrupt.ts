// Ctrl-C in a long job: it saves where it stands and ends, the terminal is given back as it was, and one line says how to go on.
import { constants } from 'node:os';
import { CutShort, EndsSoon } from '../train/cutshort.ts';
import type { Reporter } from '../train/reporter.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** What is not saved within this time is not: the last checkpoint is whole in any case. */
const PATIENCE_MS = 4500;
/** A training step that takes longer is left, and the state before it saved. */
const STEP_MS = 1000;

/** What is said: at the interrupt, at a second one, where nothing came of the first in time, and at the end. */
interface Words {
  readonly first: string;
  readonly again: string;
  readonly late: string;
  readonly ended: string;
}

const GOES_ON = '--resume auto goes on from the last checkpoint, if there is one';
const TRAINING: Words = {
  first: 'interrupted: saving (Ctrl-C now ends at once)',
  again: `interrupted again: ended at once; ${GOES_ON}`,
  late: `interrupted: this could not be saved in time; ${GOES_ON}`,
  ended: 'interrupted and saved; the same command with --resume auto goes on',
};

/**
 * Runs `work`, which looks at the signal that it is given and saves when that says so. A second Ctrl-C ends at once. Always ends the reporter,
 * interrupted or not.
 */
export async function interruptible(
  reporter: Reporter,
  work: (stop: AbortSignal) => Promise<void>,
  words = TRAINING,
): Promise<void> {
  const stop = new AbortController();
  const end = (signal: (typeof SIGNALS)[number], line: string): never => {
    reporter.finish();
    process.stderr.write(`${line}\n`);
    process.exit(128 + constants.signals[signal]);
  };
  let first: (typeof SIGNALS)[number] | null = null;
  let late: NodeJS.Timeout | undefined;
  const interrupted = (signal: (typeof SIGNALS)[number]): void => {
    // A terminal that closes, `timeout` and job schedulers tell every process, and npm and the launcher pass it on: only a key is a second wish.
    if (first && signal !== 'SIGINT') return;
    if (first) end(signal, words.again);
    first = signal;
    reporter.note(words.first);
    stop.abort(new EndsSoon(STEP_MS));
    late = setTimeout(() => end(signal, words.late), PATIENCE_MS).unref();
  };
  for (const signal of SIGNALS) process.on(signal, interrupted);
  try {
    await work(stop.signal);
    if (first) end(first, words.ended);
  } catch (error) {
    if (!first || !(error instanceof CutShort)) throw error;
    reporter.note(error.message);
    end(first, words.ended);
  } finally {
    clearTimeout(late);
    reporter.finish();
    for (const signal of SIGNALS) process.removeListener(signal, interrupted);
  }
}
