// A software Vulkan adapter without root: Debian's Mesa (lavapipe) with every library that it links to, unpacked under a
// prefix in the cache. Node runs in it through the prefix's own loader, so the system's C library does not matter.
//
// Suites: sid's Mesa has shader-f16, subgroups and subgroup matrices, and is the fastest. bookworm-backports' 25.0.7 is the
// second choice: no subgroup matrices, slower. Debian 12's own 22.3.6 is refused by Dawn (it lacks dynamic indexing of
// uniform arrays), so it is not among them.
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES } from './apt.mjs';
import { cacheDir, hostNode, readJson, writeJson } from './cache.mjs';
import { quoted } from './child.mjs';
import { fillPrefix } from './debian-prefix.mjs';
import { pristine } from './environment.mjs';

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
export const installSoftwareGpu = (suite, options = {}) =>
  fillPrefix(
    {
      place: ['software-gpu', suite],
      title: 'software adapter',
      name: 'Mesa',
      from: suite,
      bytes: BYTES_NEEDED,
      request: { ...SUITES[suite], packages: PACKAGES },
      found: () => softwareGpu(suite),
      finish: (part, packages) => finish(suite, part, packages),
      lacks: 'a loader and lvp_icd.json',
      done: ({ version }) => `Mesa ${version} of Debian ${suite} in ${prefixOf(suite)}`,
    },
    options,
  );

/** Writes what turns the unpacked files into an adapter, once they are in their place. */
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
  writeJson(join(part, 'installed.json'), { prefix, suite, mesa, arch: process.arch, packages });
}

function wrapperScript(prefix, loader, libraries) {
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

/** Deletes a suite's adapter (one that Dawn refuses is of no use). */
export const removeSoftwareGpu = (suite) => rmSync(prefixOf(suite), { recursive: true, force: true });
