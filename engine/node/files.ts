// Files that survive a crash: whole or not there at all, in folders that can hold them.
import { randomBytes } from 'node:crypto';
import * as node from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { checksum } from '../checksum.ts';
import { codeOf, fileError, spaceText } from './file-errors.ts';
import { PIECE } from './opened.ts';

export { FileError } from './file-errors.ts';

/** The calls of `node:fs/promises` that a save makes, so that tests can pass a disk that fails. */
export interface Disk {
  open(path: string, flags: string): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

/** An open file, as far as a save needs it. */
export interface DiskFile {
  write(data: Uint8Array, offset: number, length: number): Promise<{ bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

const HOST = checksum(Buffer.from(hostname()));
const TEMPORARY = /^\..+\.([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.tmp$/;
const HOUR = 3_600_000;

/**
 * Replaces the file at `path` by `data` (chunks are joined), or fails and leaves it as it was: at every instant, power
 * cut included, `path` is the whole old file or the whole new one. Writes a sibling temporary file, flushes it, renames
 * it, flushes the folder.
 * @throws FileError `save: PATH: No space left on device (needs 450 MB, 12 MB free): ...`
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | readonly Uint8Array[],
  disk: Disk = node,
): Promise<void> {
  const chunks = typeof data === 'string' ? [Buffer.from(data)] : data instanceof Uint8Array ? [data] : data;
  const folder = dirname(path);
  const temporary = temporaryOf(path);
  let outcome = 'nothing was changed';
  try {
    const file = await disk.open(temporary, 'wx');
    try {
      for (const chunk of chunks) await writeWhole(file, chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await disk.rename(temporary, path);
    outcome = 'the new file is there, but a power cut may undo it';
    await syncFolder(folder, disk);
  } catch (error) {
    await disk.unlink(temporary).catch(() => {}); // not there, or the disk is gone: removeStrayTemporaries will see
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    throw fileError('save', path, error, { space: await spaceText(error, bytes, folder), outcome });
  }
}

/** Of the same folder, with a name that `removeStrayTemporaries` knows. */
export const temporaryOf = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${HOST}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`);

/**
 * Makes the folder and those above it, and shows that a file can be made in it: what is wrong is known before hours of work.
 * `make: false` makes nothing, and tries the nearest folder that is there.
 * @throws FileError `VERB: PATH: Read-only file system: ...`
 */
export async function makeFolder(
  path: string,
  verb: string,
  disk: Disk & Pick<typeof node, 'mkdir'> = node,
  { make = true } = {},
): Promise<void> {
  try {
    // One by one: below /proc Node's own `recursive` never returns.
    const missing: string[] = [];
    let at = resolve(path);
    for (; !(await isFolder(at)); at = dirname(at)) missing.unshift(at);
    for (const folder of make ? missing : []) {
      await disk.mkdir(folder).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error; // another process was quicker
      });
    }
    const probe = temporaryOf(join(make ? path : at, 'probe'));
    await (await disk.open(probe, 'wx')).close();
    await disk.unlink(probe);
  } catch (error) {
    throw fileError(verb, path, error);
  }
}

/** @throws where something else has the name */
async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await node.stat(path)).isDirectory()) return true;
    throw Object.assign(new Error(`${path} is a file`), { code: 'ENOTDIR' });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Deletes what interrupted `writeFileAtomic` calls left in `folder`: of processes that are gone, or, where that cannot be
 * told (another machine, a process number in use again), untouched for an hour. Returns the names deleted.
 */
export async function removeStrayTemporaries(folder: string): Promise<string[]> {
  const started = Date.now() - process.uptime() * 1000;
  const removed: string[] = [];
  for (const name of await node.readdir(folder).catch(() => [])) {
    const [, host, pid] = TEMPORARY.exec(name) ?? [];
    if (host === undefined) continue;
    const path = join(folder, name);
    const touched = (await node.stat(path).catch(() => null))?.mtimeMs;
    if (touched === undefined) continue;
    // In a container a restarted trainer often gets its own old process number.
    const gone = host === HOST && (Number(pid) === process.pid ? touched < started : !isAlive(Number(pid)));
    if (!gone && touched > Date.now() - HOUR) continue;
    await node.unlink(path).then(
      () => removed.push(name),
      () => {}, // another process was quicker
    );
  }
  return removed;
}

/** Deletes a file; one that is not there is none the less gone. */
export async function removeFile(path: string): Promise<void> {
  await node.unlink(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw fileError('delete', path, error);
  });
}

/** Writes all of `data`, in pieces that Node takes. */
export async function writeWhole(file: Pick<DiskFile, 'write'>, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length; )
    at += (await file.write(data, at, Math.min(PIECE, data.length - at))).bytesWritten;
}

/** Without this a power cut may forget the rename. */
export async function syncFolder(folder: string, disk: Disk): Promise<void> {
  if (process.platform === 'win32') return; // Windows opens no folders
  const file = await disk.open(folder, 'r');
  try {
    await file.sync();
  } catch (error) {
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error; // some network file systems cannot
  } finally {
    await file.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0); // signal 0 only asks
  } catch (error) {
    return codeOf(error) === 'EPERM'; // somebody else's
  }
}
