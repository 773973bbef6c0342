// What lay at a path of data when something was computed from it: names, sizes and times of change of all its files.
import { createHash } from 'node:crypto';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expandBraces } from './formats/splits.ts';
import { KNOWN } from './known.ts';

/** So many files are asked about at the same time. */
const AT_A_TIME = 256;

/** Files of a set of which one names the whole, or the beginning of its name does: arrays and MNIST's. Labels lie in files of their own. */
const ONE_OF_SEVERAL = /\.npy$|-idx[13]-ubyte(\.gz)?$|mapping\.txt$/;

/** Changes with any file at the path, below it, of a pattern as `shard-{000..009}.tar`, or, beside an array, with its labels. Sets that have a name are checked when they are fetched, and have none. */
export async function stampOf(given: string): Promise<string> {
  const there = (await stat(given).catch(() => null)) !== null;
  const path = there ? given : given.replace(/#[^#/\\]+$/, '');
  if (!there && Object.hasOwn(KNOWN, path)) return '';
  const hash = createHash('sha256');
  const say = (...words: unknown[]): void => void hash.update(`${JSON.stringify(words)}\n`);
  for (const one of expandBraces(path)) await visit(one, '', [], say);
  if (!there || ONE_OF_SEVERAL.test(basename(path)))
    for (const name of (await readdir(dirname(path)).catch(() => [])).sort())
      if (ONE_OF_SEVERAL.test(name)) await visit(join(dirname(path), name), name, [], say);
  return hash.digest('hex').slice(0, 32);
}

/** `above`: the real paths of the folders that it is in, so that a link to one of them is not followed. */
async function visit(
  path: string,
  name: string,
  above: readonly string[],
  say: (...words: unknown[]) => void,
): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (!found?.isDirectory()) return say(name, found?.size, found?.mtimeMs);
  const real = await realpath(path);
  if (above.includes(real)) return;
  say(name);
  const names = (await readdir(path).catch(() => [])).sort();
  for (let next = 0; next < names.length; next += AT_A_TIME) {
    const some = names.slice(next, next + AT_A_TIME);
    const all = await Promise.all(some.map((inner) => stat(join(path, inner)).catch(() => null)));
    for (const [i, inner] of some.entries()) {
      if (all[i]?.isDirectory()) await visit(join(path, inner), `${name}/${inner}`, [...above, real], say);
      else say(`${name}/${inner}`, all[i]?.size, all[i]?.mtimeMs);
    }
  }
}
