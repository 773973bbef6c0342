// Where downloads are kept between runs: the rule of tools/cache.mjs, which runs before anything here can be loaded.
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

/** `$TESSERAE_CACHE`, else the platform's own place for caches. */
export function cacheDir(
  env: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
  home: string = homedir(),
): string {
  if (env.TESSERAE_CACHE) return resolve(env.TESSERAE_CACHE);
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return join(env.XDG_CACHE_HOME, 'tesserae');
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'tesserae');
  if (platform === 'win32') return join(env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'tesserae', 'cache');
  return join(home, '.cache', 'tesserae');
}
