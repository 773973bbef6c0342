// The environment of a launched program, and the way back from it: a program that was launched may itself start these
// tools, which must then see the variables as the user had set them, not as the first launch did.
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cacheDir, hostNode } from './cache.mjs';

const SAVED = 'TESSERAE_USER_ENV';

/** The environment before any launch. */
export function pristine(env = process.env) {
  const { [SAVED]: saved, ...rest } = env;
  if (!saved) return rest;
  for (const [key, value] of Object.entries(JSON.parse(saved))) {
    if (value === null) delete rest[key];
    else rest[key] = value;
  }
  return rest;
}

/** Variables for a program in the chosen environment (a result of chooseAdapter), on top of the user's own. */
export function launchEnvironment(choice, base = process.env) {
  const user = pristine(base);
  const added = {
    ...choice.env,
    TESSERAE_CACHE: cacheDir(),
    TESSERAE_ADAPTER_KIND: choice.kind,
    TESSERAE_ADAPTER_LABEL: choice.label,
    TESSERAE_DAWN_ADAPTER: choice.dawnAdapter,
    TESSERAE_HOST_NODE: hostNode(),
    TESSERAE_NODE: choice.wrapper || hostNode(),
    UV_THREADPOOL_SIZE: user.UV_THREADPOOL_SIZE ?? String(Math.min(16, Math.max(4, availableParallelism()))),
    ...(process.platform === 'linux' && !user.XDG_RUNTIME_DIR ? { XDG_RUNTIME_DIR: runtimeDir() } : {}),
  };
  const saved = Object.fromEntries(Object.keys(added).map((key) => [key, user[key] ?? null]));
  // What this launch starts in turn uses the same adapter unless told otherwise, so this one is not among the saved.
  return { ...user, ...added, TESSERAE_ADAPTER: choice.wanted, [SAVED]: JSON.stringify(saved) };
}

/** Mesa complains when there is none. */
function runtimeDir() {
  const path = join(cacheDir(), 'run');
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}
