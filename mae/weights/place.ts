// Where weights lie, for readers that need not know: one file, or a folder of files, each read at any offset. Nothing here needs Node.
import { fail } from '../../engine/errors.ts';
import type { ByteSource } from '../../engine/safetensors.ts';

/** A file, a folder, an address: what a user named. */
export interface Place {
  /** As messages call it. */
  readonly name: string;
  /** The file that was named; null where it is a folder. */
  readonly file: ByteSource | null;
  /** A file of the folder, or beside the named one; null where there is none of this name. */
  open(name: string): Promise<ByteSource | null>;
  /** Ends what it holds open. */
  [Symbol.asyncDispose](): Promise<void>;
}

const nothing = async (): Promise<void> => {};

/** Bytes of a File or Blob, read as they are asked for. */
export function blobSource(blob: Blob, name = blobName(blob)): ByteSource {
  const read = async (offset: number, length: number): Promise<Uint8Array> =>
    new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  return { name, size: blob.size, read };
}

const blobName = (blob: Blob): string => ('name' in blob ? String(blob.name) : 'the given bytes');

/** A File or Blob; or the files of a folder, as a browser's folder picker gives them. */
export function blobPlace(given: Blob | readonly Blob[]): Place {
  if (given instanceof Blob) return filePlace(blobSource(given));
  const files = new Map(given.map((blob) => [blobName(blob), blobSource(blob)]));
  if (files.size === 0) fail('weights: the list of files is empty: give the files of a folder');
  const first = [...files.values()][0];
  const open = async (name: string): Promise<ByteSource | null> => files.get(name) ?? null;
  return files.size === 1
    ? filePlace(first)
    : { name: 'the given files', file: null, open, [Symbol.asyncDispose]: nothing };
}

/** The bytes of one file. */
export function bytesPlace(given: Uint8Array | ArrayBuffer): Place {
  const bytes = given instanceof Uint8Array ? given : new Uint8Array(given);
  const read = async (offset: number, length: number): Promise<Uint8Array> => bytes.slice(offset, offset + length);
  return filePlace({ name: 'the given bytes', size: bytes.length, read });
}

/** One file with nothing beside it. */
export const filePlace = (file: ByteSource): Place => ({
  name: file.name ?? 'the given bytes',
  file,
  open: async () => null,
  [Symbol.asyncDispose]: nothing,
});

/** Names that a folder's own index may give: of files in it, and nowhere else. */
export const isPlainName = (name: unknown): name is string =>
  typeof name === 'string' && /^[\w][\w.-]{0,199}$/.test(name) && !name.includes('..');

/** All of a small file. @throws where it has more than `most` bytes: nothing is read then */
export async function readSmall(source: ByteSource, most: number): Promise<Uint8Array> {
  if (source.size > most) fail(`${source.name}: has ${source.size} bytes, at most ${most} are read: is it one?`);
  const bytes = await source.read(0, source.size);
  if (bytes.length !== source.size) fail(`${source.name}: ended at byte ${bytes.length} of ${source.size}: try again`);
  return bytes;
}
