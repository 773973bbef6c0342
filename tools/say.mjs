// What the set-up tools say: one rewritten line while something long runs, and errors that are one line and name a remedy.

/**
 * A failure that the reader can act on: printed as one line, without a stack trace. `exit` is 2 for wrong usage, 1 otherwise;
 * `offline` says that the network was the reason, so that other ways over it need not be tried.
 */
export class Problem extends Error {
  constructor(message, exit = 1, { offline = false } = {}) {
    super(message);
    this.exit = exit;
    this.offline = offline;
  }
}

/** Runs an entry point: its result is the exit code, a Problem is printed as `tesserae: …`. */
export async function main(run) {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', (error) => error.code === 'EPIPE' && process.exit(0));
  try {
    process.exitCode = (await run()) ?? 0;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    process.stderr.write(`tesserae: ${error.message}\n`);
    process.exitCode = error.exit;
  }
}

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/**
 * One line of progress on stderr (stdout is kept for results). On a terminal it is rewritten in place, with the seconds so
 * far; elsewhere only its first and its last text are printed.
 */
export function progress(title, { quiet = false, stream = process.stderr } = {}) {
  const began = performance.now();
  const live = stream.isTTY && !quiet;
  let last = '';
  const wipe = '\r\x1b[K';
  const show = () => stream.write(`${wipe}${title}  ${last}  ${Math.round((performance.now() - began) / 1000)} s`);
  const ticks = live ? setInterval(() => last && show(), 1000).unref() : null;
  return {
    update(text) {
      const first = !last;
      last = text;
      if (live) show();
      else if (first && !quiet) stream.write(`${title}  ${text}\n`);
    },
    done(text) {
      clearInterval(ticks);
      if (!quiet) stream.write(`${live ? wipe : ''}${title}  ${text} (${seconds(began)})\n`);
    },
    /** Ends the line without a word; `update` may begin it again. */
    clear() {
      if (live && last) stream.write(wipe);
      last = '';
    },
  };
}
