// The `tesserae` program: runs a command line, turns whatever goes wrong into one line and an exit code, and ends.
import { explain } from './explain.ts';
import { run } from './program.ts';

/** One line on stderr; a stack only where it is asked for. @returns the exit code */
function tell(error: unknown): number {
  const { line, code } = explain(error);
  if (line) process.stderr.write(`${line}\n`);
  if (code && process.env.TESSERAE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return code;
}

// A reader that has seen enough (`| head`) is no error; a run whose terminal went away goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => error.code === 'EPIPE' && process.exit(0));
process.stderr.on('error', () => {});
process.on('uncaughtException', (error) => process.exit(tell(error)));

const code = await run(process.argv.slice(2)).then(() => Number(process.exitCode ?? 0), tell);
// Dawn would keep Node alive; output still in the pipe goes out first.
process.stdout.write('', () => process.exit(code));
