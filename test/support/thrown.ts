// What work must end with: an error, one of a kind, a message that a user may read.
import * as assert from 'uvu/assert';
import { TesseraeError } from '../../engine/errors.ts';

/** The error that `work` must end with. */
export async function thrown(work: () => Promise<unknown>): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  return assert.unreachable('nothing was thrown') as never;
}

/** Rejects unless `promise` fails with an error of this kind that says `words`. */
export async function refused(
  promise: Promise<unknown>,
  words: RegExp,
  kind: abstract new (message: string) => Error = TesseraeError,
): Promise<void> {
  const error = await thrown(() => promise);
  assert.match(error.message, words);
  assert.instance(error, kind, error.stack);
}

/** The message of the typed error of one line that `work` must end with. */
export async function refusal(work: () => Promise<unknown>): Promise<string> {
  const error = await thrown(work);
  assert.instance(error, TesseraeError, error.stack);
  assert.not.match(error.message, /\n/);
  return error.message;
}

/** What is done, and what must be said of it. */
export type Mistake = readonly [work: () => unknown, said: RegExp];

/** Every one of them must be refused, and in a line that says so. */
export async function allRefused(mistakes: readonly Mistake[]): Promise<void> {
  for (const [work, said] of mistakes) assert.match(await refusal(async () => work()), said);
}
