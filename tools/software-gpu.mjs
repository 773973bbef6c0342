// A software Vulkan adapter without root: Debian's Mesa (lavapipe) with every library that it links to, unpacked under a
// prefix in the cache. Node runs in it through the prefix's own loader, so the system's C library does not matter.
//
// Suites: sid's Mesa has shader-f16, subgroups and subgroup matrices, and is the fastest. bookworm-backports' 25.0.7 is the
// second choice: no subgroup matrices, slower. Debian 12's own 22.3.6 is refused by Dawn (it lacks dynamic indexing of
// uniform arrays), so it is not among them.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES, aptObstacle, machineMirrors, unpackDebian } from './apt.mjs';
import { cacheDir, cacheFolder, hostNode, readJson, temporary, withLock, writeJson } from './cache.mjs';
import { pristine } from './environment.mjs';
import { Problem, progress } from './say.mjs';

export const SUITES = {
  sid: { suites: ['sid'], wide: true },
  backports: { suites: ['bookworm', 'bookworm-backports'], target: 'bookworm-backports' },
};
const PACKAGES = ['mesa-vulkan-drivers', 'libvulkan1'];
const BYTES_NEEDED = 500e6;

const prefixOf = (suite) => join(cacheDir(), 'software-gpu', suite);

/**
 * The software adapter of a suite, when it is there: `{ suite, version, command, env, wrapper }`. `command` starts Node in
 * it; `wrapper` is a file that does the same, for children that want one executable.
 */
export function softwareGpu(suite, arch = process.arch) {
  const prefix = prefixOf(suite);
  const installed = readJson(join(prefix, 'installed.json'));
  const names = ARCHITECTURES[arch];
  if (!installed || !names || installed.arch !== arch) return null;
  const { loader, libraries } = layout(prefix, names);
  const icd = join(prefix, 'lvp_icd.json');
  if (!loader || !existsSync(icd) || installed.prefix !== prefix) return null;
  return {
    suite,
    version: installed.mesa,
    command: [loader, '--library-path', libraries, hostNode()],
    env: { VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd, ...(SUITES[suite].wide ? vectorWidth() : {}) },
    wrapper: join(prefix, 'node'),
  };
}

/** bookworm still has /lib beside /usr/lib; its /lib64 loader is an absolute link, which would leave the prefix. */
function layout(prefix, { triplet, loader }) {
  const folders = ['usr/lib', 'lib']
    .map((folder) => join(prefix, 'root', folder, triplet))
    .filter((path) => existsSync(path));
  return {
    loader: folders.map((folder) => join(folder, loader)).find((path) => existsSync(path)),
    libraries: folders.join(':'),
  };
}

/**
 * Mesa takes 256-bit vectors by itself even where the processor has 512-bit ones. With sid's 26.2 those pay: a step of a small
 * model (192 x 4, 128 x 2, batch 64) took 0.91 s of CPU time, 1.07 to 1.13 with 256. With 25.0.7 they gain nothing (a product
 * of 512^3 14.8 ms, 13.9 with 256) and a pipeline takes 3 s to build, not 0.6. Left alone where the caller has chosen.
 */
export function vectorWidth(env = pristine(), cpuinfo = readCpuinfo()) {
  if (env.LP_NATIVE_VECTOR_WIDTH) return {};
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1].trim().split(/\s+/) ?? []);
  const wide = ['avx512f', 'avx512bw', 'avx512dq', 'avx512vl'].every((flag) => flags.has(flag));
  return wide ? { LP_NATIVE_VECTOR_WIDTH: '512' } : {};
}

function readCpuinfo() {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}

/** Downloads and unpacks the software adapter of a suite; at once when it is there. Throws a Problem with what to do. */
export async function installSoftwareGpu(suite, { quiet = false, again = false } = {}) {
  const obstacle = aptObstacle();
  if (obstacle) throw new Problem(`cannot unpack a software adapter here: ${obstacle}`);
  if (!again && softwareGpu(suite)) return softwareGpu(suite);
  const line = progress('software adapter', { quiet });
  const parent = cacheFolder('software-gpu');
  return withLock(
    `software-gpu-${suite}`,
    async () => {
      if (!again && softwareGpu(suite)) return line.clear() ?? softwareGpu(suite);
      const disk = statfsSync(parent);
      if (disk.bavail * disk.bsize < BYTES_NEEDED) {
        throw new Problem(
          `the software adapter needs 500 MB in ${parent}: free some, or set TESSERAE_CACHE to another disk`,
        );
      }
      sweep(parent, suite);
      line.update(`asking Debian for Mesa of ${suite}`);
      const part = temporary(join(parent, suite));
      try {
        const packages = await download(suite, part, line);
        line.update('unpacking');
        finish(suite, part, packages);
      } catch (error) {
        line.clear();
        throw error;
      } finally {
        rmSync(part, { recursive: true, force: true });
      }
      const made = softwareGpu(suite);
      if (!made)
        throw new Problem(`Debian's ${suite} packages no longer hold what is needed: a loader and lvp_icd.json`);
      line.done(`Mesa ${made.version} of Debian ${suite} in ${prefixOf(suite)}`);
      return made;
    },
    () => line.update('waiting for another set-up'),
  );
}

/** From the first mirror that answers. */
async function download(suite, part, line) {
  const failures = [];
  const mirrors = await machineMirrors();
  if (!mirrors.length) throw new Problem("apt's sources name no Debian mirror: add one to /etc/apt/sources.list");
  for (const mirror of mirrors) {
    const work = join(part, 'work');
    mkdirSync(work, { recursive: true });
    try {
      return await unpackDebian({
        ...SUITES[suite],
        packages: PACKAGES,
        mirror,
        work,
        into: join(part, 'root'),
        onBytes: (there, all) =>
          line.update(there < all ? `downloading Mesa ${mega(there)} of ${mega(all)} MB` : 'unpacking'),
      });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failures.push(error);
      rmSync(part, { recursive: true, force: true });
    }
  }
  const offline = failures.every((failure) => failure.offline);
  throw new Problem(failures.map((failure) => failure.message).join('; '), 1, { offline });
}

const mega = (bytes) => Math.min(9999, Math.round(bytes / 1e6));

/** Writes what turns the unpacked files into an adapter, then puts the whole in its place at once. */
function finish(suite, part, packages) {
  const prefix = prefixOf(suite);
  const names = ARCHITECTURES[process.arch];
  const icds = join(part, 'root', 'usr', 'share', 'vulkan', 'icd.d');
  const name = existsSync(icds) && readdirSync(icds).find((file) => /^lvp_icd.*\.json$/.test(file));
  const { loader, libraries } = layout(part, names);
  if (!name || !loader) return;
  const final = (path) => path.replaceAll(part, prefix);
  const icd = JSON.parse(readFileSync(join(icds, name), 'utf8'));
  icd.ICD.library_path = final(join(part, 'root', 'usr', 'lib', names.triplet, 'libvulkan_lvp.so'));
  writeJson(join(part, 'lvp_icd.json'), icd);
  writeFileSync(join(part, 'node'), wrapperScript(prefix, final(loader), final(libraries)));
  chmodSync(join(part, 'node'), 0o755);
  const mesa = /mesa-vulkan-drivers_(?:\d+%3a)?([^-_]+)/.exec(packages.join(' '))?.[1] ?? 'unknown';
  rmSync(join(part, 'work'), { recursive: true, force: true });
  writeJson(join(part, 'installed.json'), { prefix, suite, mesa, arch: process.arch, packages });
  const old = temporary(prefix);
  if (existsSync(prefix)) renameSync(prefix, old);
  renameSync(part, prefix);
  rmSync(old, { recursive: true, force: true });
}

function wrapperScript(prefix, loader, libraries) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  return `#!/bin/sh
# Runs Node with the libraries unpacked here, and (unless a launch has chosen a driver already) on the software adapter.
if [ -z "$TESSERAE_HOST_NODE" ]; then
  TESSERAE_HOST_NODE=$(command -v node)
  VK_ICD_FILENAMES=${quoted(`${prefix}/lvp_icd.json`)}
  VK_DRIVER_FILES=$VK_ICD_FILENAMES
  export VK_ICD_FILENAMES VK_DRIVER_FILES
fi
exec ${quoted(loader)} --library-path ${quoted(libraries)} "$TESSERAE_HOST_NODE" "$@"
`;
}

/** Deletes what a set-up that was killed left behind. */
function sweep(parent, suite) {
  for (const name of readdirSync(parent)) {
    if (name.startsWith(`${suite}.`) && name.endsWith('.tmp'))
      rmSync(join(parent, name), { recursive: true, force: true });
  }
}

/** Deletes a suite's adapter (one that Dawn refuses is of no use). */
export const removeSoftwareGpu = (suite) => rmSync(prefixOf(suite), { recursive: true, force: true });
