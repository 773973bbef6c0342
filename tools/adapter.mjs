// Chooses the WebGPU adapter that this clone runs on: each candidate environment computes something small in a process of
// its own, the first that is right is taken, and the choice is kept until something that it rests on changes.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cacheFolder, installed, readJson, root, writeJson } from './cache.mjs';
import { advice } from './advice.mjs';
import { installFromBackports } from './backports.mjs';
import { aptObstacle } from './apt.mjs';
import { candidates, gpuNodes, maySetUp, prefixes, surroundings } from './candidates.mjs';
import { run } from './child.mjs';
import { installChromium } from './chromium.mjs';
import { pristine } from './environment.mjs';
import { Problem, progress } from './say.mjs';
import { SUITES, installSoftwareGpu, removeSoftwareGpu } from './software-gpu.mjs';

const PROBE_TIMEOUT = 60_000;
const KEPT = 16;

/**
 * @param name `auto` (default; TESSERAE_ADAPTER sets another), `system`, `software`, `lavapipe`, `swiftshader`, or a part of
 *   an adapter's name
 * @param install whether a software adapter may be downloaded  @param again ignore the kept choice
 * @returns {Promise<{ kind: 'gpu' | 'software' | 'system' | 'swiftshader', label: string, dawnAdapter: string,
 *   command: string[], env: Record<string, string>, wrapper: string, wanted: string }>} `command` starts Node, `env` is to be added
 * @throws Problem with what was tried and what to install
 */
export async function chooseAdapter({ name, quiet = false, install = false, again = false } = {}) {
  const wanted = name || process.env.TESSERAE_ADAPTER || 'auto';
  const env = pristine();
  const path = join(cacheFolder(), 'adapter.json');
  const kept = again ? null : keptChoice(path, wanted, env);
  if (kept) return kept;
  const line = progress('adapter', { quiet });
  const tried = [];
  let choice = await firstRight(candidates(wanted, env), env, line, tried);
  // A browser's SwiftShader is right, but a quarter as wide and without matrices: where one may be downloaded, the better one is.
  const poor = choice?.kind === 'swiftshader' && wanted === 'auto';
  if ((!choice || poor) && install && maySetUp(wanted))
    choice = (await setUpSoftware(wanted, env, line, tried, { quiet, again })) ?? choice;
  if (!choice && install && wanted === 'swiftshader')
    choice = await setUpSwiftshader(env, line, tried, { quiet, again });
  if (!choice) {
    line.clear();
    throw new Problem(explain(wanted, tried, install), known(wanted) ? 1 : 2);
  }
  choice.wanted = wanted;
  line.done(choice.label);
  keepChoice(path, wanted, env, choice);
  return choice;
}

const known = (name) => maySetUp(name) || ['system', 'swiftshader'].includes(name);

/** Runs probe.mjs in an environment; never throws. */
async function probe({ command, env, match }, base = process.env) {
  const [program, ...leading] = command;
  const args = [...leading, join(root, 'tools', 'probe.mjs'), ...(match ? [match] : [])];
  const done = await run(program, args, { env: { ...base, ...env }, cwd: root, timeout: PROBE_TIMEOUT });
  const last = done.out.trim().split('\n').pop();
  try {
    const result = JSON.parse(last);
    return result.ok ? result : { ...result, why: driverReason(done.err) ?? result.why };
  } catch {
    const why = done.timedOut
      ? `its driver hung (${PROBE_TIMEOUT / 1000} s)`
      : done.signal
        ? `its driver crashed (${done.signal})`
        : null;
    return {
      ok: false,
      why: why ?? `Node did not start: ${done.all.trim().split('\n').pop().slice(0, 200)}`,
      names: [],
    };
  }
}

/** Why Dawn refused a driver: it only says so on stderr. */
export function driverReason(stderr) {
  if (/Couldn't load Vulkan: libvulkan/.test(stderr)) return 'there is no Vulkan loader (libvulkan.so.1)';
  const line = stderr.split('\n').find((text) => /Couldn't load|required|not supported|incompatible/i.test(text));
  return (
    line
      ?.replace(/^\s*(Warning|Error|Info):\s*/, '')
      .replace(/\s+/g, ' ')
      .replace(/\.$/, '')
      .slice(0, 160) ?? null
  );
}

async function firstRight(list, env, line, tried) {
  for (const candidate of list) {
    line.update(`trying ${candidate.match ?? candidate.kind}`);
    const result = await probe(candidate, env);
    const accepted = result.ok && (candidate.accept?.(result.info) ?? true);
    if (accepted) return described(candidate, result);
    const why = result.ok ? `${result.name} is ${result.info.isFallbackAdapter ? 'software' : 'a GPU'}` : result.why;
    tried.push({ why, names: result.names ?? [] });
  }
  return null;
}

function described({ kind, command, env, wrapper, match }, { name, info, features, subgroupsRight }) {
  const extras = [
    info.isFallbackAdapter ? 'software' : 'GPU',
    /Mesa [\d.]+/.exec(info.description)?.[0] ?? info.description,
    features.includes('shader-f16') && 'f16',
    subgroupsRight && `subgroups ${[...new Set([info.subgroupMinSize, info.subgroupMaxSize])].join('-')}`,
    features.some((feature) => feature.includes('subgroup-matrix')) && 'subgroup matrices',
  ];
  const label = `${name || info.description} (${extras.filter(Boolean).join(', ')})`;
  return { kind, label, dawnAdapter: match ? name : '', command, env, wrapper: wrapper ?? '' };
}

/** Unpacks Debian's Mesa: sid's, else that of backports; as root, else with the system's apt. */
async function setUpSoftware(wanted, env, line, tried, options) {
  if (aptObstacle()) return null;
  for (const suite of Object.keys(SUITES)) {
    line.clear();
    try {
      await installSoftwareGpu(suite, options);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      tried.push({ why: error.message, offline: error.offline, names: [] });
      if (error.offline) return null;
      continue;
    }
    // A GPU without a Vulkan loader may work with the unpacked one, so all candidates are asked, not only the new one.
    const list = wanted === 'auto' && !gpuNodes().length ? candidates('software', env) : candidates(wanted, env);
    const choice = await firstRight(list, env, line, tried);
    if (choice) return choice;
    removeSoftwareGpu(suite);
  }
  line.clear();
  const failure = await installFromBackports(options);
  if (failure) return void tried.push({ why: failure, names: [] });
  return firstRight(candidates(wanted === 'software' ? 'lavapipe' : wanted, env), env, line, tried);
}

/** With Debian's Chromium comes its SwiftShader. */
async function setUpSwiftshader(env, line, tried, options) {
  line.clear();
  try {
    await installChromium(options);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return void tried.push({ why: error.message, offline: error.offline, names: [] });
  }
  return firstRight(candidates('swiftshader', env), env, line, tried);
}

function explain(wanted, tried, install) {
  const names = [...new Set(tried.flatMap((t) => t.names))];
  const reasons = [...new Set(tried.map((t) => t.why))];
  const what = wanted === 'auto' ? 'no WebGPU adapter was found' : `no adapter fits --adapter ${wanted}`;
  if (!known(wanted)) {
    return `${what}: there ${names.length === 1 ? 'is' : 'are'} ${names.join('; ') || 'none'} (or: auto, system, software, lavapipe, swiftshader)`;
  }
  if (wanted === 'swiftshader')
    return `${what}: ${reasons.join('; ') || 'no browser here brings SwiftShader'}; ${install ? 'install Chromium' : 'run: npm run setup -- --adapter swiftshader'}`;
  return `${what}${reasons.length ? ` (${reasons.join('; ')})` : ''}; ${remedy(wanted, tried, install)}`;
}

function remedy(wanted, tried, install) {
  const setup = installed ? 'npx tesserae-setup' : 'npm run setup';
  if (tried.some(({ offline }) => offline)) return `check the network or the proxy, then run: ${setup}`;
  if (maySetUp(wanted) && !install && !prefixes().length && !aptObstacle()) return `run: ${setup}`;
  return `what to do: ${advice()}`;
}

function keyOf(wanted, env) {
  const webgpu = readJson(join(dirname(createRequire(import.meta.url).resolve('webgpu')), 'package.json'))?.version;
  const key = JSON.stringify([1, wanted, webgpu, surroundings(env)]);
  return createHash('sha256').update(key).digest('hex').slice(0, 24);
}

function keptChoice(path, wanted, env) {
  const choice = readJson(path)?.[keyOf(wanted, env)];
  return choice?.command?.every((part) => !part.startsWith('/') || part.includes(':') || existsSync(part))
    ? choice
    : null;
}

function keepChoice(path, wanted, env, choice) {
  const others = Object.entries(readJson(path) ?? {}).slice(-(KEPT - 1));
  writeJson(path, Object.fromEntries([...others, [keyOf(wanted, env), choice]]));
}
