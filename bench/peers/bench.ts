// `tesserae bench peers`: finds and installs the peers, runs every piece of work by everyone, prints and keeps the result.
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TesseraeError } from '../../engine/errors.ts';
import type { PeersBench, PeersRequest } from '../../mae/cli/benchpeers.ts';
import { columns } from '../../mae/cli/command.ts';
import { misuse, suggestion } from '../../mae/usage.ts';
import { OURS, type Peer, PEERS } from './catalogue.ts';
import { PeerChild, PeerFailure } from './child.ts';
import { commandOf, folderOf, install, installed, missing, peersNamed } from './install.ts';
import { type Contender, measurePiece } from './measure.ts';
import type { Hello } from './protocol.ts';
import type { Conditions, PeersReport, PeerUsed, PieceResult } from './results.ts';
import { pieceTable } from './table.ts';
import { PIECES, type Piece } from './work.ts';

const RESULTS = join(import.meta.dirname, '..', 'results');

export const listPeers: PeersBench<PeersReport>['listPeers'] = () => [
  ...columns(
    PEERS.map((peer) => [
      peer.name,
      standing(peer),
      Object.entries(peer.packages ?? {}).map(([name, version]) => `${name} ${version}`)[0] ?? '',
      peer.note,
    ]),
  ),
  `work: ${PIECES.map((piece) => piece.name).join(', ')}`,
];

export const benchPeers: PeersBench<PeersReport>['benchPeers'] = async (request) => {
  const { say, progress } = request;
  if (request.save && request.only.length + request.work.length)
    misuse('--save keeps whole results only: leave out --only and --work');
  const chosen = chosenPeers(request.only);
  const pieces = chosenPieces(request.work);
  const absent: Record<string, string> = {};
  const wanted = chosen.filter((peer) => {
    const why = obstacle(peer, request.offline);
    if (why) absent[peer.name] = why;
    return !why;
  });
  Object.assign(absent, await installAll(wanted, request));
  const peers = wanted.filter(({ name }) => !(name in absent));
  const child = (peer: Peer, args: string[] = []) => ({ name: peer.name, child: new PeerChild(commandOf(peer, args)) });
  const ours = child(OURS, [request.profile ?? '', request.untuned ? 'untuned' : '']);
  const contenders = [ours, ...peers.map((peer) => child(peer))];
  try {
    const used: PeerUsed[] = [];
    const told: Pick<Conditions, 'settings' | 'blas'>[] = [];
    for (const [i, contender] of contenders.entries()) {
      const { note } = i === 0 ? OURS : peers[i - 1];
      progress(`${contender.name}: starting`);
      const hello = await greet(contender, request.timeout).catch((error: PeerFailure) => {
        if (i === 0) throw new TesseraeError(`bench peers: our own process failed: ${error.message}`);
        absent[contender.name] = error.message;
      });
      if (!hello) continue;
      const { version, device, ...more } = hello;
      used.push({ name: contender.name, version, device, note });
      told.push(more);
    }
    const running = contenders.slice(1).filter(({ name }) => used.some((peer) => peer.name === name));
    if (!running.length) {
      const reasons = Object.entries(absent).map(([name, why]) => `${name}: ${why}`);
      throw new TesseraeError(`bench peers: there is nobody to compare with (${reasons.join('; ')})`);
    }
    const report = { ...conditions(request, used[0].device), ...Object.assign({}, ...told) };
    for (const line of describe(report, used)) say(line);
    for (const [name, why] of Object.entries(absent)) say(`  ${name} is left out: ${why}`);
    const results: PieceResult[] = [];
    const whole = (): PeersReport => ({ kind: 'peers', ...report, peers: used, absent, pieces: results });
    for (const piece of pieces) {
      const able = running.filter(({ name }) => {
        const kinds = PEERS.find((peer) => peer.name === name)?.kinds;
        return !kinds || kinds.includes(piece.work.kind);
      });
      const result = await measurePiece(piece, ours, able, request).catch((error: unknown) => {
        const kept = request.save && results.length ? `; what was measured before is in ${partPath(whole())}` : '';
        throw error instanceof PeerFailure ? new TesseraeError(`bench peers: ${error.message}${kept}`) : error;
      });
      results.push(result);
      if (request.save) write(partPath(whole()), whole());
      progress('');
      for (const line of pieceTable(result)) say(line);
    }
    return whole();
  } finally {
    progress('');
    for (const contender of contenders) contender.child.kill();
  }
};

const standing = (peer: Peer): string =>
  peer.python
    ? 'if Python has torch'
    : installed(peer)
      ? 'there'
      : (obstacle(peer, false) ?? `about ${peer.megabytes} MB`);

/** Why a peer cannot even be installed. */
function obstacle(peer: Peer, offline: boolean): string | null {
  if (installed(peer)) return null;
  if (peer.checkout) return `not on npm; ${peer.checkout} may name a checkout of its sources`;
  return offline ? 'not installed, and --offline was given' : null;
}

const greet = ({ child }: Contender, timeout: number): Promise<Hello> => child.ask<Hello>({ do: 'hello' }, timeout);

function chosenPeers(names: readonly string[]): Peer[] {
  const known = PEERS.map(({ name }) => name);
  const meant = names.map((name) => {
    const found = known.filter((one) => one === name || (!known.includes(name) && one.includes(name)));
    if (!found.length)
      misuse(`--only: there is no ${name}${suggestion(name, known) || `; there are ${known.join(', ')}`}`);
    return found;
  });
  return peersNamed(meant.flat());
}

function chosenPieces(names: readonly string[]): Piece[] {
  for (const name of names) {
    if (!PIECES.some((piece) => piece.name.includes(name)))
      misuse(`--work: nothing is named ${name}; there are ${PIECES.map((piece) => piece.name).join(', ')}`);
  }
  return PIECES.filter((piece) => !names.length || names.some((name) => piece.name.includes(name)));
}

/** Says what will be downloaded and where before it begins. @returns why peers cannot be installed, by name */
export async function installAll(
  peers: readonly Peer[],
  { say, progress }: Pick<PeersRequest, 'say' | 'progress'>,
  installOne = install,
): Promise<Record<string, string>> {
  const failed: Record<string, string> = {};
  const wanted = missing(peers);
  if (!wanted.length) return failed;
  const total = wanted.reduce((sum, peer) => sum + (peer.megabytes ?? 0), 0);
  say(`installing, once, with npm (about ${total} MB unpacked; nothing of it becomes a dependency of this project):`);
  for (const peer of wanted) {
    const packages = Object.entries(peer.packages ?? {}).map(([name, version]) => `${name}@${version}`);
    say(`  ${packages.join(' ')} into ${folderOf(peer)}`);
  }
  for (const [i, peer] of wanted.entries()) {
    progress(`${i + 1} of ${wanted.length}: npm install for ${peer.name}, about ${peer.megabytes} MB`);
    await installOne(peer).catch((error: Error) => {
      // Others take the same packages.
      for (const { name } of peers.filter((other) => folderOf(other) === folderOf(peer) && other.packages))
        failed[name] = error.message;
    });
  }
  progress('');
  return failed;
}

function conditions({ command }: PeersRequest, device: string): Conditions {
  const [adapter, profile] = device.split(', profile ');
  const environment = Object.entries(process.env).filter(([name]) => /^LP_|^OMP_/.test(name)) as [string, string][];
  return {
    date: new Date().toISOString().slice(0, 10),
    command,
    commit: commit(),
    adapter,
    profile,
    environment: Object.fromEntries(environment),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    node: process.versions.node,
    load: loadavg()[0],
  };
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? '+' : '');
  } catch {
    return 'unknown';
  }
}

function describe(c: Conditions, used: readonly PeerUsed[]): string[] {
  const variables = Object.entries(c.environment).map(([name, value]) => `${name}=${value}`);
  return [
    [
      `${c.adapter}, profile ${c.profile}, settings: ${c.settings}`,
      ...variables,
      `${c.cores} x ${c.cpu}`,
      `Node ${c.node}`,
    ].join(', '),
    ...columns(used.slice(1).map(({ name, version, device }) => [name, version, device])).map((line) => `  ${line}`),
    ...(c.load > 0.5 * c.cores
      ? [`the machine was busy (load ${c.load.toFixed(1)}): compare CPU times, not medians`]
      : []),
  ];
}

/** Keeps a report beside the others, in the place of its parts. @returns its path */
export const saveReport: PeersBench<PeersReport>['saveReport'] = (report) => {
  const path = `${stem(report)}.json`;
  write(path, report);
  rmSync(partPath(report), { force: true });
  return path;
};

const stem = (report: PeersReport): string => join(RESULTS, `peers-${slug(report)}-${report.date}`);

/** Where the pieces so far are, written after each; the page takes no such file. */
const partPath = (report: PeersReport): string => `${stem(report)}.part.json`;

function write(path: string, report: PeersReport): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(`${path}.tmp`, `${JSON.stringify(report, null, 1)}\n`);
  renameSync(`${path}.tmp`, path);
}

/** Adapter, driver and vector width in a name for a file. */
const slug = ({ adapter, environment }: PeersReport): string =>
  [adapter, environment.LP_NATIVE_VECTOR_WIDTH ?? '']
    .join(' ')
    .toLowerCase()
    .replace(/\(.*?\)/g, ' ')
    .replace(/[^a-z0-9.]+/g, '-')
    .replace(/^-|-$/g, '');
