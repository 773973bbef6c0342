// The environments in which an adapter may be found, in the order in which they are tried. A candidate is
// `{ kind, command, env, wrapper?, match?, accept? }`: how to start Node, which part of an adapter's name to ask for, and
// which of the answers to take.
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { hostNode } from './cache.mjs';
import { unpackedSwiftshader } from './chromium.mjs';
import { SUITES, softwareGpu } from './software-gpu.mjs';

const isReal = (info) => !info.isFallbackAdapter;
const isSoftware = (info) => info.isFallbackAdapter;

/** Node with the system's own Vulkan loader (Metal on macOS, D3D12 on Windows). */
const host = (env = {}) => ({ command: [hostNode()], env });

/** Where driver containers of NVIDIA put the description that the Vulkan loader does not look for. */
const NVIDIA_ICD = '/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json';
const nvidiaEnv = (env) =>
  existsSync(NVIDIA_ICD) && !env.VK_ICD_FILENAMES && !env.VK_DRIVER_FILES
    ? { VK_ICD_FILENAMES: NVIDIA_ICD, VK_DRIVER_FILES: NVIDIA_ICD }
    : {};

/** Whether the kernel shows a GPU at all. */
export function gpuNodes(dev = '/dev') {
  const inside = (folder) =>
    existsSync(join(dev, folder)) ? readdirSync(join(dev, folder)).map((name) => `${folder}/${name}`) : [];
  try {
    return [
      ...inside('.').filter((name) => /nvidia\d+$|\/dxg$/.test(name)),
      ...inside('dri').filter((name) => /renderD/.test(name)),
    ];
  } catch {
    return [];
  }
}

/** SwiftShader's description, where a browser brings one along. */
function swiftshaderIcd(env = process.env, home = homedir()) {
  const name = 'vk_swiftshader_icd.json';
  const folders = [
    '/usr/lib/chromium',
    '/usr/lib/chromium-browser',
    '/usr/lib64/chromium-browser',
    '/opt/google/chrome',
    '/opt/microsoft/msedge',
  ];
  const browsers = env.PLAYWRIGHT_BROWSERS_PATH || join(home, '.cache', 'ms-playwright');
  if (existsSync(browsers))
    folders.push(
      ...readdirSync(browsers).flatMap((b) => [join(browsers, b, 'chrome-linux'), join(browsers, b, 'chrome-linux64')]),
    );
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? unpackedSwiftshader();
}

/** The unpacked software adapters, the better one first. */
export const prefixes = () =>
  Object.keys(SUITES)
    .map((suite) => softwareGpu(suite))
    .filter(Boolean);

const software = ({ command, env, wrapper }, match) => ({ kind: 'software', command, env, wrapper, match });

function swiftshader(given, match) {
  const icd = swiftshaderIcd(given);
  if (!icd) return [];
  const env = { VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd };
  const inPrefix = prefixes()
    .slice(0, 1)
    .map(({ command, wrapper }) => ({ kind: 'swiftshader', command, env, wrapper, match }));
  // Chromium brings a Vulkan loader, too: without it a system that has none, and no prefix, could not use SwiftShader.
  const folder = dirname(icd);
  const path = [folder, given.LD_LIBRARY_PATH].filter(Boolean).join(':');
  const bundled = existsSync(join(folder, 'libvulkan.so.1')) ? [host({ ...env, LD_LIBRARY_PATH: path })] : [];
  return [...[host(env), ...bundled].map((way) => ({ kind: 'swiftshader', ...way, match })), ...inPrefix];
}

/** A real GPU whose driver is there but no Vulkan loader: the unpacked one. (Untested: no such machine was at hand.) */
function prefixLoader(env, match) {
  if (!gpuNodes().length) return [];
  return prefixes()
    .slice(0, 1)
    .map(({ command, wrapper }) => ({ kind: 'gpu', command, env: nvidiaEnv(env), wrapper, match, accept: isReal }));
}

/**
 * @param name `auto`, `system`, `software`, `lavapipe`, `swiftshader`, or any part of an adapter's name
 * @param env the environment as the user has it
 */
export function candidates(name, env = process.env) {
  // The system's own Mesa keeps its width of vectors: of what version it is, no one has asked yet (vectorWidth).
  const system = (match, accept) => ({ kind: 'system', ...host(nvidiaEnv(env)), match, accept });
  const gpu = { kind: 'gpu', ...host(nvidiaEnv(env)), accept: isReal };
  switch (name) {
    case 'auto':
      return [
        gpu,
        ...prefixLoader(env),
        ...prefixes().map((p) => software(p)),
        system(undefined, isSoftware),
        ...swiftshader(env),
      ];
    case 'system':
      return [system()];
    case 'software':
      return prefixes().map((p) => software(p));
    case 'lavapipe':
      return [...prefixes().map((p) => software(p)), system('llvmpipe', isSoftware)];
    case 'swiftshader':
      return swiftshader(env);
    default:
      return [
        system(name),
        ...prefixLoader(env, name),
        ...prefixes().map((p) => software(p, name)),
        ...swiftshader(env, name),
      ];
  }
}

/** Names that mean: unpack a software adapter when nothing else is there. */
export const maySetUp = (name) => ['auto', 'software', 'lavapipe'].includes(name);

/** Everything outside this project that a choice rests on: when it changes, the choice is made anew. */
export function surroundings(env = process.env) {
  const listing = (folder) => (existsSync(folder) ? readdirSync(folder).sort() : []);
  const chosen = Object.entries(env).filter(([key]) =>
    /^(VK_|MESA_|LP_|GALLIUM_|GALLIVM_|LD_LIBRARY_PATH$|CUDA_VISIBLE|NVIDIA_|DRI_PRIME|PLAYWRIGHT_)/.test(key),
  );
  const loaders = [
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib/aarch64-linux-gnu',
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/lib',
  ];
  return {
    node: [hostNode(env), process.version, process.platform, process.arch],
    prefixes: prefixes().map(({ suite, version, env: own }) => [suite, version, own]),
    environment: chosen.sort(),
    gpus: gpuNodes(),
    drivers: ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', dirname(NVIDIA_ICD)].map(
      listing,
    ),
    loader: loaders.filter((folder) => existsSync(join(folder, 'libvulkan.so.1'))),
    swiftshader: swiftshaderIcd(env),
  };
}
