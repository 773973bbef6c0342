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
 * One line of progress on stderr (stdout is kept for results). On a terminal it is rewritten in place; elsewhere only its
 * first and its last text are printed.
 */
export function progress(title, { quiet = false, stream = process.stderr } = {}) {
  const began = performance.now();
  const live = stream.isTTY && !quiet;
  let said = false;
  const show = (text, end) => stream.write(live ? `\r\x1b[K${title}  ${text}${end}` : `${title}  ${text}\n`);
  return {
    update(text) {
      if (quiet || (!live && said)) return;
      said = true;
      show(text, '');
    },
    done(text) {
      if (!quiet) show(`${text} (${seconds(began)})`, '\n');
    },
    clear() {
      if (live && said) stream.write('\r\x1b[K');
    },
  };
}
