// The image library, loaded when first needed: it is native, and a run on CIFAR-10's own files does without it.
import { fail } from '../../engine/errors.ts';

type Sharp = typeof import('sharp')['default'];
let loaded: Promise<Sharp> | null = null;

/** One decode a thread and no cache of its own: parallelism comes from many images at once. */
export function loadSharp(): Promise<Sharp> {
  loaded ??= import('sharp').then(
    ({ default: sharp }) => {
      sharp.concurrency(1);
      sharp.cache(false);
      return sharp;
    },
    (error: Error) =>
      fail(`image decoding needs the package sharp: npm install sharp (${error.message.split('\n')[0]})`),
  );
  return loaded;
}
