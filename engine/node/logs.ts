// Logs that can be cut back to where a checkpoint was saved.
import * as node from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, FileError, fileError } from './file-errors.ts';
import { syncFolder, writeWhole } from './files.ts';
import { openRegular, readPieces } from './opened.ts';

/**
 * Appends `line` and a newline to a log, creating it when missing; on failure, a part that was written is taken back.
 * `durable` waits until it is on the disk: for lines whose loss matters more than milliseconds do.
 */
export const appendLine = (path: string, line: string, options: { durable?: boolean } = {}): Promise<void> =>
  appendBytes(path, Buffer.from(`${line}\n`), options);

/** The same for bytes. */
export async function appendBytes(path: string, data: Uint8Array, { durable = false } = {}): Promise<void> {
  try {
    const file = await node.open(path, 'a');
    try {
      const { size } = await file.stat();
      try {
        await writeWhole(file, data);
        if (durable) await file.datasync();
      } catch (error) {
        await file.truncate(size).catch(() => {});
        throw error;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError('log', path, error);
  }
}

/**
 * Flushes a log and returns its length in bytes (0 where there is none): what a checkpoint stores, so that `cutLog` can
 * make the log after a resume the same, byte for byte, as that of a run that never stopped.
 */
export async function durableLength(path: string): Promise<number> {
  try {
    const { size, file } = await openRegular('log', path, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFolder(dirname(path), node);
    return size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0;
    throw fileError('log', path, error);
  }
}

/**
 * Cuts a log back to its first `length` bytes, which must end a line. Length 0 needs no file.
 * @throws FileError where the log is shorter or was edited
 */
export async function cutLog(path: string, length: number): Promise<void> {
  const odd = (found: string) =>
    new FileError(
      `resume: ${path}: ${found}, but the checkpoint was saved with ${length} bytes in whole lines: ` +
        'put the log back, or resume into another folder',
      'EINVAL',
    );
  try {
    const { size, file } = await openRegular('resume', path, 'r+');
    try {
      if (size < length) throw odd(`the log has ${size} bytes`);
      if (length > 0 && (await readPieces(file, path, length - 1, 1))[0] !== 0x0a)
        throw odd(`byte ${length} of the log ends no line`);
      await file.truncate(length);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fileError('resume', path, error);
    if (length > 0) throw odd('there is no log');
  }
}
