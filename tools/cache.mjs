// Where downloads and choices are kept between runs, and how several processes share that place safely.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Problem } from './say.mjs';

/** The clone that these tools belong to. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Whether this is an installed package, which holds what was built of the sources and not the sources. */
export const installed = !existsSync(join(root, 'mae', 'index.ts'));

/** `$TESSERAE_CACHE`, else the platform's own place for caches. */
export function cacheDir(env = process.env, platform = process.platform, home = homedir()) {
  if (env.TESSERAE_CACHE) return resolve(env.TESSERAE_CACHE);
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return join(env.XDG_CACHE_HOME, 'tesserae');
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'tesserae');
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'tesserae', 'cache');
  return join(home, '.cache', 'tesserae');
}

/** Makes a folder of the cache (or the cache itself) and returns its path. */
export function cacheFolder(...names) {
  const path = join(cacheDir(), ...names);
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new Problem(
      `cannot make the cache folder ${path} (${error.code}); set TESSERAE_CACHE to one that you may write`,
    );
  }
  return path;
}

/** A name beside `path` that no other process uses. */
export const temporary = (path) => `${path}.${process.pid}-${Math.random().toString(36).slice(2, 8)}.tmp`;

export function writeJson(path, value) {
  const part = temporary(path);
  writeFileSync(part, `${JSON.stringify(value, null, 1)}\n`);
  renameSync(part, path);
}

/** The parsed file, or `null` where it is missing or torn. */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** The real Node binary: under the software adapter's own loader `process.execPath` names the loader instead. */
export function hostNode(env = process.env, execPath = process.execPath, argv0 = process.argv0) {
  if (env.TESSERAE_HOST_NODE && existsSync(env.TESSERAE_HOST_NODE)) return env.TESSERAE_HOST_NODE;
  if (!/\/ld-linux[^/]*$/.test(execPath)) return execPath;
  return isAbsolute(argv0) && existsSync(argv0) ? argv0 : 'node';
}

const BEAT_MS = 3000;
const STALE_MS = 30_000;

/**
 * Runs `work` while no other process holds the lock `name`. The holder touches it every few seconds; one that was not
 * touched for half a minute belonged to a process that died, and is taken over. (Process ids would mislead between containers.)
 */
export async function withLock(name, work, waiting = () => {}) {
  const lock = join(cacheFolder('locks'), name);
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isStale(lock)) {
      const aside = temporary(lock);
      try {
        renameSync(lock, aside);
        if (isStale(aside)) rmSync(aside, { recursive: true, force: true });
        else renameSync(aside, lock);
      } catch {
        // another process was faster
      }
      continue;
    }
    waiting();
    await new Promise((wake) => setTimeout(wake, 250));
  }
  const beat = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(lock, now, now);
    } catch {
      // taken away by hand: the work goes on, its result is renamed into place as a whole
    }
  }, BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    rmSync(lock, { recursive: true, force: true });
  }
}

function isStale(path) {
  try {
    return Date.now() - statSync(path).mtimeMs > STALE_MS;
  } catch {
    return false;
  }
}
