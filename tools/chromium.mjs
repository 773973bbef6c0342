// A Chromium for tests and pictures of pages: the user's own, else Debian's, unpacked under a prefix in the cache without root.
// (Debian's chromium-headless-shell: a fifth smaller than chromium itself, without GTK, and WebGPU runs in it alike.)
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ARCHITECTURES } from './apt.mjs';
import { cacheDir, readJson, writeJson } from './cache.mjs';
import { quoted, run } from './child.mjs';
import { fillPrefix } from './debian-prefix.mjs';
import { pristine } from './environment.mjs';
import { Problem } from './say.mjs';

// Not sid: a Chromium starts itself again, past the loader that would give it sid's C library. bookworm's needs glibc 2.36.
const SUITE = 'bookworm';
const REQUEST = {
  suites: [SUITE],
  packages: ['chromium-headless-shell', 'fonts-dejavu-core'],
  // The C library is the system's. The others are for a desktop, and would bring LLVM along.
  present: ['libc6', 'x11-utils', 'xdg-utils'],
};
const BYTES_NEEDED = 600e6;

const prefixOf = () => join(cacheDir(), 'chromium', SUITE);

/** The unpacked one, when it is there. */
function unpacked(arch = process.arch) {
  const prefix = prefixOf();
  const installed = readJson(join(prefix, 'installed.json'));
  const path = join(prefix, 'chromium');
  if (!installed || installed.prefix !== prefix || installed.arch !== arch || !existsSync(path)) return null;
  return { path, version: installed.version };
}

/** Where the unpacked one describes its SwiftShader to a Vulkan loader; null where there is none. */
export function unpackedSwiftshader() {
  const icd = join(prefixOf(), 'root', 'usr', 'lib', 'chromium', 'vk_swiftshader_icd.json');
  return unpacked() && existsSync(icd) ? icd : null;
}

/** Programs that may be there, in the order in which they are asked. */
function programs(env, home = homedir(), platform = process.platform) {
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge'];
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean);
  const onPath = names.flatMap((name) =>
    folders.map((folder) => join(folder, platform === 'win32' ? `${name}.exe` : name)),
  );
  const apps = ['Chromium', 'Google Chrome', 'Microsoft Edge'].map(
    (app) => `/Applications/${app}.app/Contents/MacOS/${app}`,
  );
  const windows = [env.PROGRAMFILES, env['PROGRAMFILES(X86)'], env.LOCALAPPDATA]
    .filter(Boolean)
    .flatMap((folder) =>
      ['Google\\Chrome', 'Chromium', 'Microsoft\\Edge'].map((app) => join(folder, app, 'Application')),
    )
    .flatMap((folder) => [join(folder, 'chrome.exe'), join(folder, 'msedge.exe')]);
  const kept = env.PLAYWRIGHT_BROWSERS_PATH || join(home, '.cache', 'ms-playwright');
  const playwright = existsSync(kept)
    ? readdirSync(kept).flatMap((folder) =>
        ['chrome-linux', 'chrome-linux64'].flatMap((inner) =>
          ['chrome', 'headless_shell', 'chrome-headless-shell'].map((name) => join(kept, folder, inner, name)),
        ),
      )
    : [];
  return [...onPath, ...(platform === 'darwin' ? apps : []), ...(platform === 'win32' ? windows : []), ...playwright];
}

/** What a program says that it is; null where it does not start (Ubuntu's chromium-browser may be an empty shell). */
async function versionOf(path, env) {
  if (process.platform === 'win32') return 'Chromium';
  const done = await run(path, ['--version'], { env, timeout: 20_000 });
  return done.code === 0 ? done.out.trim() || null : null;
}

/**
 * The first Chromium that starts: $TESSERAE_CHROMIUM or $CHROME_PATH, one on the PATH or in its usual place, the unpacked one.
 * @returns {Promise<{ path: string, version: string } | null>} null where there is none, and where TESSERAE_CHROMIUM is `none`
 * @throws Problem where a variable names what does not start
 */
export async function findChromium(given = process.env) {
  const env = pristine(given);
  if (env.TESSERAE_CHROMIUM === 'none') return null;
  for (const variable of ['TESSERAE_CHROMIUM', 'CHROME_PATH']) {
    const path = env[variable];
    if (!path) continue;
    const version = await versionOf(path, env);
    if (!version) throw new Problem(`${variable} names ${path}, which does not start: give the path of a Chromium`);
    return { path, version };
  }
  for (const path of programs(env).filter((path) => existsSync(path))) {
    const version = await versionOf(path, env);
    if (version) return { path, version };
  }
  return unpacked();
}

/** Downloads and unpacks Debian's Chromium (120 MB); at once when it is there. @throws Problem with what to do */
export const installChromium = (options = {}) =>
  fillPrefix(
    {
      place: ['chromium', SUITE],
      title: 'Chromium',
      name: 'Chromium',
      from: SUITE,
      bytes: BYTES_NEEDED,
      request: REQUEST,
      found: unpacked,
      finish,
      lacks: 'chromium-headless-shell',
      done: ({ version, path }) => `${version} in ${path}`,
    },
    options,
  );

/** One that is there, else Debian's. @throws Problem with what to do where none can be had */
export async function ensureChromium(options = {}) {
  const found = await findChromium();
  if (found || process.env.TESSERAE_CHROMIUM === 'none') return found;
  try {
    return await installChromium(options);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(`${error.message}; or install Chromium or Chrome, or set TESSERAE_CHROMIUM to its path`);
  }
}

async function finish(part, packages) {
  const prefix = prefixOf();
  const program = join('root', 'usr', 'lib', 'chromium', 'chromium-headless-shell');
  if (!existsSync(join(part, program))) return;
  mkdirSync(join(part, 'fonts'));
  writeFileSync(join(part, 'fonts.conf'), fontConfig(prefix));
  const script = (at) => {
    writeFileSync(join(part, 'chromium'), wrapperScript(at, join(at, program)));
    chmodSync(join(part, 'chromium'), 0o755);
  };
  script(part);
  const tried = await run(join(part, 'chromium'), ['--version'], { timeout: 20_000 });
  if (tried.code !== 0)
    throw new Problem(`Debian's Chromium does not start here: ${tried.all.trim().split('\n').pop().slice(0, 200)}`);
  script(prefix);
  writeJson(join(part, 'installed.json'), { prefix, arch: process.arch, version: tried.out.trim(), packages });
}

function wrapperScript(prefix, program) {
  const { triplet } = ARCHITECTURES[process.arch];
  const libraries = ['usr/lib', 'lib'].flatMap((folder) => {
    const path = join(prefix, 'root', folder, triplet);
    return [path, join(path, 'pulseaudio')];
  });
  return `#!/bin/sh
# Runs Chromium with the libraries and fonts unpacked here.
LD_LIBRARY_PATH=${quoted(libraries.join(':'))}
FONTCONFIG_FILE=${quoted(join(prefix, 'fonts.conf'))}
export LD_LIBRARY_PATH FONTCONFIG_FILE
exec ${quoted(program)} "$@"
`;
}

const fontConfig = (prefix) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${prefix}/root/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>${prefix}/fonts</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
`;
