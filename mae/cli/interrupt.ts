// Ctrl-C in a long job: the terminal is given back as it was, and one line says how to go on.
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Reporter } from '../train/reporter.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Runs `work`, which trains into `output_dir`; always ends the reporter, interrupted or not. */
export async function interruptible<T>(reporter: Reporter, output_dir: string, work: () => Promise<T>): Promise<T> {
  const interrupted = (signal: (typeof SIGNALS)[number]): void => {
    reporter.finish();
    const saved = existsSync(join(output_dir, 'checkpoint.safetensors'));
    process.stderr.write(
      saved
        ? 'interrupted; the same command with --resume auto goes on from the last checkpoint\n'
        : 'interrupted before the first checkpoint: the same command starts again\n',
    );
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of SIGNALS) process.once(signal, interrupted);
  try {
    return await work();
  } finally {
    reporter.finish();
    for (const signal of SIGNALS) process.removeListener(signal, interrupted);
  }
}
