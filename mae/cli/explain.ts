// What went wrong in a command, in one line, and the exit code.
import { CommanderError } from 'commander';
import { TesseraeError } from '../../engine/errors.ts';
import { fileError, isOfSystem } from '../../engine/node/file-errors.ts';
import { UsageError } from '../usage.ts';

const USAGE = 2;
const FAILURE = 1;

/** What the user is told, and the exit code: 2 for wrong usage, 1 for a failure, 0 where help or the version was printed. */
export function explain(thrown: unknown): { line: string; code: number } {
  // Nobody who knows what for asked for the file that the system refused; its path and the reason can still be told.
  const error = isOfSystem(thrown) && thrown.path ? fileError(thrown.syscall ?? 'file', thrown.path, thrown) : thrown;
  if (error instanceof CommanderError && error.exitCode === 0) return { line: '', code: 0 };
  const said = error instanceof Error ? error.message : String(error);
  const text = said
    .replace(/^error: /, '')
    .replace(/\n\((Did you mean .*)\)$/, (_, hint: string) => `; ${hint[0].toLowerCase()}${hint.slice(1)}`)
    .replace(/\s*\n\s*/g, ' ');
  const expected = error instanceof TesseraeError || error instanceof CommanderError;
  const usage = error instanceof UsageError || error instanceof CommanderError;
  return {
    line: `tesserae: ${expected ? text : `unexpected: ${text} (TESSERAE_DEBUG=1 shows where)`}`,
    code: usage ? USAGE : FAILURE,
  };
}
