// apt-get on a private state: Debian packages of any suite, downloaded and unpacked without root and without touching the
// system's own apt. (The system's mirror and proxy settings are read; nothing of the system is written.)
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { has, run } from './child.mjs';
import { Problem } from './say.mjs';

const KEYRINGS = ['gpg', 'pgp'].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`);
const keyring = () => KEYRINGS.find((path) => existsSync(path));

/** What Debian and the loader call this processor; `null` where the software adapter is not built for it. */
export const ARCHITECTURES = {
  x64: { debian: 'amd64', triplet: 'x86_64-linux-gnu', loader: 'ld-linux-x86-64.so.2' },
  arm64: { debian: 'arm64', triplet: 'aarch64-linux-gnu', loader: 'ld-linux-aarch64.so.1' },
};

/** Why this machine cannot unpack Debian packages, or `null` when it can. */
export function aptObstacle(platform = process.platform, arch = process.arch) {
  if (platform !== 'linux') return 'this is not Linux';
  if (!ARCHITECTURES[arch]) return `Debian packages are not used on ${arch}`;
  const missing = ['apt-get', 'dpkg'].filter((program) => !has(program));
  if (missing.length) return `${missing.join(' and ')} is not installed`;
  if (!keyring()) return `${KEYRINGS[0]} is not there (package debian-archive-keyring)`;
  return null;
}

/** The entries of one sources file, in the one-line style or in the deb822 style: `{ uri, suites, options }`. */
export function parseSources(text, deb822) {
  return deb822 ? parseStanzas(text) : parseLines(text);
}

function parseLines(text) {
  const entries = [];
  for (const raw of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/.exec(raw.replace(/#.*$/, ''));
    if (match)
      entries.push({ options: match[1] ?? '', uri: match[2], suites: [match[3]], components: match[4].split(/\s+/) });
  }
  return entries;
}

function parseStanzas(text) {
  const entries = [];
  const plain = text.replace(/^#.*\n?/gm, '');
  for (const stanza of plain.split(/\n\s*\n/)) {
    const fields = {};
    for (const [, key, value] of stanza.matchAll(/^([\w-]+):((?:.*)(?:\n[ \t].*)*)/gm))
      fields[key.toLowerCase()] = value.trim();
    const words = (key) => (fields[key] ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || /^(no|false|off|0)$/i.test(fields.enabled ?? '')) continue;
    for (const uri of words('uris')) {
      entries.push({
        options: fields['signed-by'] ?? '',
        uri,
        suites: words('suites'),
        components: words('components'),
      });
    }
  }
  return entries;
}

/**
 * Debian mirrors to try, the machine's own first. Security and third-party archives hold no sid and are left out.
 * @param indexed lines `URI ORIGIN` as apt-get indextargets prints them (empty where apt's lists are, as in fresh containers)
 * @param sources entries of parseSources
 */
export function debianMirrors(indexed, sources) {
  const tidy = (uri) => uri.replace(/\/+$/, '');
  const fromIndex = indexed
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([uri, origin]) => uri && origin === 'Debian' && !/security/.test(uri))
    .map(([uri]) => uri);
  const fromSources = sources
    .filter(({ uri, suites }) => !/security/.test(uri) && !suites.some((suite) => /security|\/$/.test(suite)))
    .filter(({ uri, options }) => /\/debian\/?$|debian\.list$/.test(uri) || /debian-archive/.test(options))
    .map(({ uri }) => uri);
  return [...new Set([...fromIndex, ...fromSources].map(tidy))];
}

/** The mirrors for this machine: what apt knows, else what its sources files say. */
export async function machineMirrors(etc = '/etc/apt') {
  const format = '$(REPO_URI) $(ORIGIN)';
  const indexed = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const files = [join(etc, 'sources.list')];
  try {
    files.push(...readdirSync(join(etc, 'sources.list.d')).map((name) => join(etc, 'sources.list.d', name)));
  } catch {
    // no such folder
  }
  const sources = files.flatMap((path) => {
    if (!/\.(list|sources)$/.test(path)) return [];
    try {
      return parseSources(readFileSync(path, 'utf8'), path.endsWith('.sources'));
    } catch {
      return [];
    }
  });
  return debianMirrors(indexed.code === 0 ? indexed.out : '', sources);
}

/** An apt configuration, read after the system's own, that moves all of apt's state into `work`. */
export function aptConfig(work, architecture) {
  const clear = [
    'APT::Update::Pre-Invoke',
    'APT::Update::Post-Invoke',
    'APT::Update::Post-Invoke-Success',
    'APT::Default-Release',
  ];
  const set = {
    'Dir::Etc::SourceList': join(work, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State': join(work, 'state'),
    'Dir::State::Lists': join(work, 'lists'),
    'Dir::State::Status': join(work, 'status'),
    'Dir::Cache': join(work, 'cache'),
    'Dir::Cache::Archives': join(work, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'Dir::Log': join(work, 'log'),
    'Debug::NoLocking': 'true',
    'APT::Sandbox::User': 'root',
    'APT::Architecture': architecture,
    'APT::Install-Recommends': 'false',
    'APT::Get::Assume-Yes': 'true',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
  };
  return [
    ...[...clear, 'APT::Architectures'].map((key) => `#clear ${key};`),
    `APT::Architectures { "${architecture}"; };`,
    ...Object.entries(set).map(([key, value]) => `${key} "${value}";`),
    '',
  ].join('\n');
}

/**
 * Downloads `packages` of `suites` with everything that they need, and unpacks them under `into`.
 * @param present packages that count as installed: what the system has, or what they name without need
 * @param onBytes called now and then with (bytes there, bytes in all)
 * @returns the file names of the packages, sorted
 */
export async function unpackDebian({ suites, packages, present = [], target, mirror, work, into, onBytes = () => {} }) {
  const { debian } = ARCHITECTURES[process.arch];
  const archives = join(work, 'archives');
  for (const folder of ['lists/partial', 'archives/partial', 'state', 'cache', 'log'])
    mkdirSync(join(work, folder), { recursive: true });
  writeFileSync(join(work, 'status'), present.map((name) => statusEntry(name, debian)).join('\n'));
  const options = `[signed-by=${keyring()} arch=${debian} target=Packages]`;
  writeFileSync(join(work, 'sources.list'), suites.map((suite) => `deb ${options} ${mirror} ${suite} main\n`).join(''));
  writeFileSync(join(work, 'apt.conf'), aptConfig(work, debian));
  const apt = async (...args) => {
    const done = await run('apt-get', ['-q', '-c', join(work, 'apt.conf'), ...args], { timeout: 300_000 });
    if (done.code === 0) return done.out;
    const reason = done.timedOut ? 'no answer within 5 minutes' : aptReason(done.all);
    const offline = done.timedOut || isOffline(reason);
    throw new Problem(offline ? `${mirror} cannot be reached: ${reason}` : `apt-get ${args[0]}: ${reason}`, 1, {
      offline,
    });
  };
  await apt('update', '--error-on=any');
  const chosen = ['install', ...(target ? ['-t', target] : []), ...packages];
  const total = (await apt(...chosen, '--print-uris'))
    .split('\n')
    .reduce((sum, line) => sum + (Number(/^'[^']+' \S+ (\d+) /.exec(line)?.[1]) || 0), 0);
  const watch = setInterval(() => onBytes(folderBytes(archives) + folderBytes(join(archives, 'partial')), total), 500);
  try {
    await apt(...chosen, '--download-only');
  } finally {
    clearInterval(watch);
  }
  const debs = readdirSync(archives)
    .filter((name) => name.endsWith('.deb'))
    .sort();
  if (!debs.length) throw new Problem(`${mirror} gave no packages for ${packages.join(', ')} of ${suites.join(', ')}`);
  mkdirSync(into, { recursive: true });
  for (const deb of debs) {
    const done = await run('dpkg', ['-x', join(archives, deb), into]);
    if (done.code !== 0)
      throw new Problem(`dpkg cannot unpack ${deb}: ${done.err.trim().split('\n').pop()} (is the disk full?)`);
  }
  return debs;
}

/** What dpkg's list of packages says of one that is installed, in a version that is recent enough for all. */
const statusEntry = (name, architecture) =>
  `Package: ${name}\nStatus: install ok installed\nArchitecture: ${architecture}\nMulti-Arch: foreign\nVersion: 999\nMaintainer: none\nDescription: taken as installed\n`;

/** apt's own first error, without its ornaments. */
export function aptReason(output) {
  const lines = output.split('\n').filter((line) => /^(E|Err|W):/.test(line));
  const first =
    lines.find((line) => line.startsWith('E:')) ?? lines[0] ?? output.trim().split('\n').pop() ?? 'it said nothing';
  return first.replace(/^\w+:\s*(Failed to fetch \S+\s+)?/, '').slice(0, 300);
}

const isOffline = (reason) => /resolv|connect|timed out|unreachable|no route|network/i.test(reason);

function folderBytes(folder) {
  try {
    return readdirSync(folder).reduce(
      (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  } catch {
    return 0;
  }
}
