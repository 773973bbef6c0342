// Files as readers of formats take them: in order, or piece by piece at an offset. Nothing is allocated that the file could not fill.
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { fail } from '../../../engine/errors.ts';

/** Bytes in order. `take` gives fewer than asked for only at the end. */
export interface ByteSource {
  readonly path: string;
  /** Bytes given or skipped so far. */
  readonly position: number;
  /** Bytes that there are at most: the file's size; of a gzip file what its size could unpack to. */
  readonly limit: number;
  take(count: number): Promise<Buffer>;
  /** Less than `count` only at the end; gives how many. */
  skip(count: number): Promise<number>;
}

/** DEFLATE cannot pack better than this. */
const DEFLATE_RATIO = 1032;
const GZIP = [0x1f, 0x8b];

const isGzip = (head: Uint8Array): boolean => GZIP.every((byte, i) => head[i] === byte);

const unreadable = (path: string, { code, message }: NodeJS.ErrnoException): never =>
  fail(`${path} cannot be read (${code ?? message}): check that it exists and may be read`);

/** What `use` makes of an open file, which is closed in any case. */
export async function withFile<T>(path: string, use: (file: FileHandle, size: number) => Promise<T>): Promise<T> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => unreadable(path, error));
  try {
    const found = await file.stat();
    if (!found.isFile()) fail(`${path} is no file: give a file`);
    return await use(file, found.size);
  } finally {
    await file.close();
  }
}

/** `length` bytes at `offset`. The file is opened for each piece: sets have more shards than a process may hold open. */
export const readAt = (path: string, offset: number, length: number): Promise<Buffer> =>
  withFile(path, (file, size) => pieceOf(file, path, size, offset, length));

async function pieceOf(file: FileHandle, path: string, size: number, offset: number, length: number): Promise<Buffer> {
  if (offset + length > size)
    fail(`${path} ends at byte ${size}, bytes ${offset} to ${offset + length} were expected: it was cut or changed`);
  const buffer = Buffer.allocUnsafeSlow(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file
      .read(buffer, got, length - got, offset + got)
      .catch((error: NodeJS.ErrnoException) => unreadable(path, error));
    if (bytesRead === 0) fail(`${path} ended at byte ${offset + got} while it was read: it was cut or changed`);
    got += bytesRead;
  }
  return buffer;
}

/** Whether a file is gzip. */
export const isPacked = (path: string): Promise<boolean> =>
  withFile(path, async (file, size) => isGzip(await pieceOf(file, path, size, 0, Math.min(2, size))));

/** The first bytes, of a gzip file those that it unpacks to; fewer where there are fewer. */
export const headOf = (path: string, count: number): Promise<Buffer> =>
  withSource(path, (source) => source.take(count));

/** What `use` makes of a file's bytes in order, unpacked where they are gzip. */
export function withSource<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  return withFile(path, async (file, size) => {
    const head = await pieceOf(file, path, size, 0, Math.min(2, size));
    return isGzip(head) ? unpacked(path, size, use) : use(plain(file, path, size));
  });
}

function plain(file: FileHandle, path: string, size: number): ByteSource {
  let position = 0;
  const advance = (count: number): number => {
    const most = Math.min(count, size - position);
    position += most;
    return most;
  };
  return {
    path,
    limit: size,
    get position() {
      return position;
    },
    async take(count) {
      const from = position;
      return pieceOf(file, path, size, from, advance(count));
    },
    async skip(count) {
      return advance(count);
    },
  };
}

async function unpacked<T>(path: string, size: number, use: (source: ByteSource) => Promise<T>): Promise<T> {
  const packed = createReadStream(path);
  const stream = createGunzip();
  packed.on('error', (error) => stream.destroy(error));
  packed.pipe(stream);
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let rest: Buffer = Buffer.alloc(0);
  let position = 0;
  /** Hands `count` bytes to `each`, in pieces as they come. */
  const draw = async (count: number, each: (piece: Buffer) => void): Promise<number> => {
    let got = 0;
    while (got < count) {
      if (rest.length === 0) {
        const next = await chunks.next().catch(({ message }: Error) => {
          return fail(`${path} is damaged: its gzip data cannot be unpacked (${message}); fetch it again`);
        });
        if (next.done) break;
        rest = next.value;
      }
      const piece = rest.subarray(0, count - got);
      rest = rest.subarray(piece.length);
      each(piece);
      got += piece.length;
    }
    position += got;
    return got;
  };
  try {
    return await use({
      path,
      limit: size * DEFLATE_RATIO,
      get position() {
        return position;
      },
      async take(count) {
        const pieces: Buffer[] = [];
        await draw(count, (piece) => pieces.push(piece));
        return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
      },
      skip: (count) => draw(count, () => {}),
    });
  } finally {
    packed.destroy();
    stream.destroy();
  }
}
