// What a mistake is answered with: one line of a TesseraeError, else the test fails.
import * as assert from 'uvu/assert';
import { TesseraeError } from '../../engine/errors.ts';

/** What is done, and what must be said of it. */
export type Mistake = readonly [work: () => unknown, said: RegExp];

/** What is said. */
export async function told(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert.instance(error, TesseraeError, String((error as Error).stack));
    return (error as Error).message;
  }
  return 'nothing was said';
}

/** The mistakes of which something else is said, or more than a line. */
export async function untold(mistakes: readonly Mistake[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const [work, said] of mistakes) {
    const message = await told(work);
    if (!said.test(message) || message.includes('\n')) wrong.push(`${said}: ${message}`);
  }
  return wrong;
}
