// The one message form: what was wrong, with the numbers, and what to do.

/** A mistake of the caller's or a limit of the machine: its message is meant to be read by a user, without a stack. */
export class TesseraeError extends Error {
  override readonly name = 'TesseraeError';
}

export function fail(message: string): never {
  throw new TesseraeError(message);
}
