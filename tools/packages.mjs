// Installs the npm packages when they are missing or older than package-lock.json asks for.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createHash } from 'node:crypto';
import { hostNode, installed as asPackage, readJson, root, withLock } from './cache.mjs';
import { run } from './child.mjs';
import { Problem, progress } from './say.mjs';

const MINIMUM_NODE = [20, 19];

/** Throws a Problem when this Node is too old to run the project. */
export function requireNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number);
  if (major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1])) return;
  throw new Problem(
    `Node ${MINIMUM_NODE.join('.')} or newer is needed, this is ${version}: install one from https://nodejs.org`,
  );
}

/**
 * Why the packages must be installed, or `null` when they are as locked.
 * @param manifest package.json  @param lock package-lock.json  @param installed node_modules/.package-lock.json
 *   (npm writes it when, and only when, an installation has ended); each parsed, `null` where there is none
 */
export function staleness(manifest, lock, installed) {
  if (!installed?.packages) return 'packages are missing';
  if (!lock?.packages) {
    const wanted = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
    const missing = wanted.find((name) => !installed.packages[`node_modules/${name}`]);
    return missing ? `${missing} is missing` : null;
  }
  if (lockDrift(manifest, lock)) return 'package.json has changed';
  for (const [path, { version, optional }] of Object.entries(lock.packages)) {
    if (path === '') continue;
    const there = installed.packages[path];
    if (there ? there.version !== version : !optional)
      return `${path.replace('node_modules/', '')} ${version} is not there`;
  }
  return null;
}

/** Whether package.json asks for other packages than the lock was made from. */
function lockDrift(manifest, lock) {
  const sorted = (deps) => JSON.stringify(Object.entries(deps ?? {}).sort());
  const locked = lock.packages[''] ?? {};
  return ['dependencies', 'devDependencies'].some((key) => sorted(manifest[key]) !== sorted(locked[key]));
}

/** What went wrong in npm's own words, and what to do. */
export function npmRemedy(output) {
  const said = output.split('\n').filter((line) => /npm (error|ERR!)/.test(line));
  const text = said.map((line) => line.replace(/^npm (error|ERR!)\s*/, '')).join(' ');
  const code = /code (E\w+|UNABLE\w+|SELF\w+|CERT\w+)/.exec(text)?.[1] ?? '';
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT/.test(text)) {
    return `npm cannot reach its registry (${/E[A-Z_]{5,}/.exec(text)?.[0]}): check the network or the proxy, then run it again`;
  }
  if (/UNABLE_TO|SELF_SIGNED|CERT_/.test(text)) {
    return `npm does not trust the registry's certificate (${code}): set NODE_EXTRA_CA_CERTS or npm's cafile, then run it again`;
  }
  if (/EACCES|EPERM|EROFS/.test(text)) return `npm may not write to ${root} (${code}): run it as the folder's owner`;
  if (/ENOSPC/.test(text)) return 'the disk is full: the packages take about 400 MB';
  return `npm failed: ${text.slice(0, 300) || output.trim().slice(-300) || 'it said nothing'}`;
}

/** npm's program beside this Node (so that `npm` on another Node's PATH is not taken by mistake). */
function npmCommand() {
  const node = hostNode();
  const beside = [
    process.env.npm_execpath,
    join(dirname(node), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(dirname(node), 'node_modules', 'npm', 'bin', 'npm-cli.js'),
  ].find((path) => path && /npm-cli\.js$/.test(path) && existsSync(path));
  return beside ? [node, beside] : ['npm'];
}

/**
 * `npm ci`, which takes exactly what is locked. A lock made where a registry lacked other platforms' packages is refused by
 * it: `npm install --no-save` takes the same versions from the lock and leaves the lock itself alone.
 */
async function install(locked) {
  const [command, ...leading] = npmCommand();
  // npm's own patience without a network is many minutes; this is some seconds a package.
  const patience = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];
  const options = ['--include=dev', '--no-audit', '--no-fund', '--loglevel=error', ...patience];
  const npm = (...args) => run(command, [...leading, ...args, ...options], { cwd: root });
  if (!locked) return npm('install');
  const done = await npm('ci', '--prefer-offline');
  return done.code !== 0 && /EUSAGE/.test(done.all) ? npm('install', '--no-save') : done;
}

function current() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const lock = readJson(join(root, 'package-lock.json'));
  return {
    manifest,
    lock,
    stale: staleness(manifest, lock, readJson(join(root, 'node_modules', '.package-lock.json'))),
  };
}

/** Why packages must be installed first, or `null`. Those of an installed package are npm's concern. */
export const packagesStale = () => (asPackage ? null : current().stale);

/** Installs what is missing or stale, and says nothing when all is there. */
export async function ensurePackages({ quiet = false } = {}) {
  requireNode();
  if (!packagesStale()) return false;
  const line = progress('packages', { quiet });
  const lockName = `packages-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`;
  const wait = () => line.update('waiting for another set-up of this clone');
  return withLock(
    lockName,
    async () => {
      const { manifest, lock, stale } = current();
      if (!stale) return line.clear() ?? false;
      line.update(`${stale}: running npm`);
      const done = await install(lock && !lockDrift(manifest, lock));
      const left = done.code === 0 ? packagesStale() : null;
      if (done.code !== 0 || left) {
        line.clear();
        throw new Problem(
          done.code === 127
            ? `cannot start npm (${done.err}): install npm`
            : left
              ? `npm ended well, yet ${left}: remove node_modules and run it again`
              : npmRemedy(done.all),
        );
      }
      const count = Object.keys(readJson(join(root, 'node_modules', '.package-lock.json')).packages).length;
      line.done(`${count} installed`);
      return true;
    },
    wait,
  );
}
