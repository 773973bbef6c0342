// Peers' packages, in a folder of the cache: none of them is a dependency of ours.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TesseraeError } from '../../engine/errors.ts';
import { cacheDir } from '../../mae/data/cache.ts';
import { type Peer, PEERS } from './catalogue.ts';
import type { Command } from './child.ts';

/** Where the packages of a peer lie, or will. Peers with the same packages share them. */
export function folderOf({ packages = {} }: Peer): string {
  const [main] = Object.entries(packages).map(([name, version]) => `${name.split('/').pop()}-${version}`);
  return join(cacheDir(), 'peers', main ?? 'none');
}

export const installed = (peer: Peer): boolean => {
  if (peer.checkout) return Boolean(process.env[peer.checkout]);
  if (!peer.packages) return true;
  const folder = folderOf(peer);
  // The folder is renamed into place when npm has ended well, so what is there is whole.
  return Object.entries(peer.packages).every(([name, version]) => {
    const path = join(folder, 'node_modules', name, 'package.json');
    return existsSync(path) && JSON.parse(readFileSync(path, 'utf8')).version === version;
  });
};

/** What has to be downloaded for these peers, one entry a folder. */
export function missing(peers: readonly Peer[]): Peer[] {
  const wanted = peers.filter((peer) => peer.packages && !installed(peer));
  const folders = new Map(wanted.map((peer) => [folderOf(peer), peer]));
  return [...folders.values()];
}

/** Installs the packages of a peer, until `patience` ends. @throws TesseraeError with what to do */
export async function install(peer: Peer, patience?: AbortSignal): Promise<void> {
  const folder = folderOf(peer);
  const part = `${folder}.${process.pid}.tmp`;
  mkdirSync(part, { recursive: true });
  try {
    writeFileSync(join(part, 'package.json'), JSON.stringify({ private: true, dependencies: peer.packages }, null, 1));
    // Scripts are left out: onnxruntime's would download CUDA libraries, and none of the others needs one.
    const retries = ['--fetch-retries=2', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=5000'];
    const { code, said } = await npm(
      ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...retries],
      part,
      patience,
    );
    if (patience?.aborted) throw new TesseraeError('it cannot be installed: npm took too long');
    if (code !== 0) throw new TesseraeError(`it cannot be installed: ${reason(said)}`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(part, folder);
  } finally {
    rmSync(part, { recursive: true, force: true });
  }
}

/** npm's own words, shortened, and what to do about the network. */
export function reason(said: string): string {
  const network = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT/.exec(said);
  if (network)
    return `npm cannot reach its registry (${network[0]}): check the network or the proxy, or leave it out with --offline`;
  const lines = said.split('\n').filter((line) => /npm (error|ERR!)/.test(line));
  return (lines.map((line) => line.replace(/^npm (error|ERR!)\s*/, '')).join(' ') || said).trim().slice(0, 300);
}

/** Runs npm under the Node of the machine, not under a software adapter's loader. */
function npm(
  args: readonly string[],
  cwd: string,
  signal?: AbortSignal,
): Promise<{ code: number | null; said: string }> {
  return new Promise((settle) => {
    const windows = process.platform === 'win32';
    const child = spawn(windows ? 'npm.cmd' : 'npm', [...args], {
      cwd,
      shell: windows,
      signal,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stdout.on('data', (text) => (said += text));
    child.stderr.on('data', (text) => (said += text));
    child.on('error', (error) => settle({ code: 127, said: `npm cannot be started (${error.message})` }));
    child.on('close', (code) => settle({ code, said }));
  });
}

/** How the process of a peer is started: under the same loader and driver as this one. */
export function commandOf(peer: Peer, args: readonly string[] = []): Command {
  const script = join(import.meta.dirname, peer.script);
  if (peer.python) return { program: python(), args: [script], env: { ...peer.env } };
  const hooks = new URL('../../tools/register.mjs', import.meta.url).href;
  return {
    program: process.env.TESSERAE_NODE || process.execPath,
    args: ['--import', hooks, script, ...(peer.args ?? []), ...args],
    env: { ...peer.env, TESSERAE_PEER_PACKAGES: folderOf(peer) },
  };
}

/** Debian's own Python sees Debian's packages, which one of a version manager does not. */
const python = (): string => process.env.PYTHON || (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3');

/** The peers that are asked for, in the catalogue's order. */
export const peersNamed = (names: readonly string[]): Peer[] =>
  PEERS.filter(({ name }) => !names.length || names.includes(name));
