// The files in a tar archive (POSIX ustar and pax, GNU long names), with where their bytes lie: libraries give contents, random access needs
// offsets. Names are labels here and never become paths of the file system.
import { fail } from '../../../engine/errors.ts';
import type { ByteSource } from './bytes.ts';

interface TarEntry {
  readonly name: string;
  readonly size: number;
  /** Byte of the archive at which its contents begin. */
  readonly offset: number;
}

const BLOCK = 512;
/** Longest name or pax record that is read. */
const MOST_EXTRA = 2 ** 20;
const REGULAR = new Set(['0', '\0', '7']);

/** Whether these first bytes of a file begin a tar archive: a header whose checksum holds. */
export const isTar = (head: Uint8Array): boolean =>
  head.length >= BLOCK && head[0] !== 0 && octal(head, 148, 8) === checksum(head);

/** Regular files in order. A caller may take an entry's contents from `source` before it asks for the next. */
export async function* tarEntries(source: ByteSource): AsyncGenerator<TarEntry, void, undefined> {
  const { path } = source;
  let next: { name?: string; size?: number } = {};
  for (;;) {
    const start = source.position;
    const header = await source.take(BLOCK);
    // Two empty blocks end an archive; some writers leave them out.
    if (header.length === 0 || (header.length === BLOCK && header.every((byte) => byte === 0))) return;
    if (header.length < BLOCK) fail(`tar: ${path} ends within the header at byte ${start}: it was cut, fetch it again`);
    if (octal(header, 148, 8) !== checksum(header))
      fail(`tar: ${path} has no valid header at byte ${start} (checksum): it is damaged or no tar archive`);
    const type = String.fromCharCode(header[156]);
    const size = next.size ?? sizeOf(header);
    const offset = source.position;
    if (!(size >= 0 && offset + size <= source.limit)) {
      fail(
        `tar: ${path}: the entry at byte ${start} says ${size} bytes, ${source.limit - offset} are left: it is cut or damaged`,
      );
    }
    if (type === 'L' || type === 'x') {
      if (size > MOST_EXTRA)
        fail(`tar: ${path}: the entry at byte ${start} has a name of ${size} bytes, ${MOST_EXTRA} are allowed`);
      const body = await source.take(size);
      next = type === 'L' ? { ...next, name: text(body, 0, size) } : { ...next, ...paxOf(body) };
    } else {
      if (REGULAR.has(type)) yield { name: next.name ?? nameOf(header), size, offset };
      next = {};
    }
    const end = offset + Math.ceil(size / BLOCK) * BLOCK;
    await source.skip(end - source.position);
    if (source.position < end)
      fail(`tar: ${path} ends at byte ${source.position}, within the entry at byte ${start}: it was cut`);
  }
}

/** Text up to the first zero byte. */
function text(bytes: Buffer, from: number, length: number): string {
  const field = bytes.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? undefined : end).toString('utf8');
}

/** An octal field; NaN where it is none. */
function octal(bytes: Uint8Array, from: number, length: number): number {
  const field = String.fromCharCode(...bytes.subarray(from, from + length));
  const match = /^ *([0-7]*)[ \0]*$/.exec(field);
  return match ? Number.parseInt(match[1] || '0', 8) : Number.NaN;
}

/** In octal, or big-endian where the first bit is set (GNU, for 8 GiB and more). */
function sizeOf(header: Buffer): number {
  if (!(header[124] & 0x80)) return octal(header, 124, 12);
  const size = header.readBigUInt64BE(128);
  return header.subarray(125, 128).some((byte) => byte !== 0) ? Number.NaN : Number(size);
}

/** Sum of the header's bytes, its own field taken as spaces. */
function checksum(header: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += header[i];
  return sum;
}

function nameOf(header: Buffer): string {
  const name = text(header, 0, 100);
  const prefix = text(header, 257, 6) === 'ustar' && header[263] === 0x30 ? text(header, 345, 155) : '';
  return prefix ? `${prefix}/${name}` : name;
}

/** `LENGTH KEY=VALUE\n` records; only what matters here. */
function paxOf(body: Buffer): { name?: string; size?: number } {
  const found: { name?: string; size?: number } = {};
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const length = Number(body.subarray(at, Math.max(at, space)).toString('latin1'));
    if (space < 0 || !(Number.isInteger(length) && length > space - at) || at + length > body.length) break;
    const record = body.subarray(space + 1, at + length - 1).toString('utf8');
    if (record.startsWith('path=')) found.name = record.slice(5);
    if (record.startsWith('size=')) found.size = /^\d+$/.test(record.slice(5)) ? Number(record.slice(5)) : Number.NaN;
    at += length;
  }
  return found;
}
