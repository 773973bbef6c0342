// Files open for reading anywhere in them, as safetensors files are read tensor by tensor.
import * as node from 'node:fs/promises';
import type { ByteSource } from '../safetensors.ts';
import { FileError, fileError } from './file-errors.ts';

/** Bytes: Node refuses single reads and writes of 2 GiB; smaller ones also let other work in between. */
export const PIECE = 64 << 20;

/** A file open for `readHeader` and `readTensor`. */
export interface FileSource extends ByteSource {
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens a file for reading tensor by tensor; a save that replaces it meanwhile does not disturb the reader.
 * @param absent what to do where there is none: what was wanted there
 */
export async function openSafetensorsFile(path: string, absent?: string): Promise<FileSource> {
  try {
    const { size, file } = await openRegular('read', path, 'r');
    const close = () => file.close();
    const read = (offset: number, length: number) => readPieces(file, path, offset, length);
    return { name: path, size, read, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    throw fileError('read', path, error, { absent });
  }
}

/** @throws FileError where it is a folder or a device; else what Node throws */
export async function openRegular(
  verb: string,
  path: string,
  flags: string,
): Promise<{ size: number; file: node.FileHandle }> {
  // Asked before opening: to open a pipe would wait for its writer.
  if (!(await node.stat(path)).isFile())
    throw new FileError(`${verb}: ${path}: is a folder or a device: name a file`, 'EISDIR');
  const file = await node.open(path, flags);
  try {
    return { size: (await file.stat()).size, file };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** `length` bytes from `offset` on; fewer where the file ends. `path` is for messages. */
export async function readPieces(
  file: node.FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const data = new Uint8Array(length);
  let at = 0;
  try {
    while (at < length) {
      const { bytesRead } = await file.read(data, at, Math.min(PIECE, length - at), offset + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
  } catch (error) {
    throw fileError('read', path, error);
  }
  return data.subarray(0, at);
}
