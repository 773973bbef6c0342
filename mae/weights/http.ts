// A file at an address, read in ranges where the server gives them, else fetched whole. Works wherever there is `fetch`.
import { fail } from '../../engine/errors.ts';
import type { ByteSource } from '../../engine/safetensors.ts';

/** Bytes asked for at once, at least: tensors of a model lie one after another, and a request takes as long as a megabyte. */
const WINDOW = 4 << 20;
/** What a server that has no ranges may send: all of it is held in memory. */
const MOST_WHOLE = 4 * 2 ** 30;

export const isAddress = (text: string): boolean => /^https?:\/\//i.test(text);

/** @throws where the server has no such file, or cannot be reached */
export async function httpSource(address: string | URL, fetcher: typeof fetch = fetch): Promise<ByteSource> {
  const name = String(address);
  const first = await get(name, fetcher, 0, WINDOW);
  if (!first.range) return { name, size: first.bytes.length, read: async (at, n) => first.bytes.slice(at, at + n) };
  const { total } = first.range;
  const tag = first.tag;
  let window = { offset: 0, bytes: first.bytes };
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    const end = Math.min(total, offset + length);
    if (offset >= end) return new Uint8Array(0);
    if (!(offset >= window.offset && end <= window.offset + window.bytes.length)) {
      const upTo = Math.min(total, Math.max(end, offset + WINDOW));
      const { bytes, range, tag: now } = await get(name, fetcher, offset, upTo - offset);
      if (!range || range.total !== total || now !== tag) fail(`${name}: changed while it was read: try again`);
      window = { offset, bytes };
    }
    // A copy: what is kept of it must not keep the window.
    return window.bytes.slice(offset - window.offset, end - window.offset);
  };
  return { name, size: total, read };
}

interface Piece {
  readonly bytes: Uint8Array;
  /** Null where the server sent all of it. */
  readonly range: { readonly total: number } | null;
  readonly tag: string | null;
}

async function get(name: string, fetcher: typeof fetch, offset: number, length: number): Promise<Piece> {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}`, 'Accept-Encoding': 'identity' };
  const response = await fetcher(name, { headers }).catch((error: Error) =>
    fail(`${name}: cannot be reached (${reasonOf(error)}): check the address and the network`),
  );
  const { status } = response;
  const tag = response.headers.get('etag');
  if (status === 404 || status === 410) fail(`${name}: there is no such file (HTTP ${status}): check the address`);
  if (status === 401 || status === 403) fail(`${name}: may not be read (HTTP ${status}): it needs a login`);
  // An empty file has no first byte.
  if (status === 416) return { bytes: new Uint8Array(0), range: { total: 0 }, tag };
  if (status !== 200 && status !== 206) fail(`${name}: the server answered HTTP ${status}: try again later`);
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (status === 206 && (Number(from) !== offset || !(Number(total) > 0)))
    fail(`${name}: the server sent another part than was asked for: fetch the file by other means`);
  const expected =
    status === 206
      ? Math.min(length, Number(total) - offset)
      : Number(response.headers.get('content-length') ?? Number.NaN);
  const bytes = await body(name, response, status === 206 ? expected : MOST_WHOLE, expected);
  return { bytes, range: status === 206 ? { total: Number(total) } : null, tag };
}

/** At most `most` bytes; `expected` of them, unless the server did not say how many. */
async function body(name: string, response: Response, most: number, expected: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let count = 0;
  // Not `for await`: some browsers' streams have no iterator.
  const reader = response.body?.getReader();
  try {
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) {
      count += next.value.length;
      if (count > most) break;
      pieces.push(next.value);
    }
  } catch (error) {
    fail(`${name}: the connection ended after ${count} bytes (${reasonOf(error as Error)}): try again`);
  }
  if (count > most) await reader?.cancel().catch(() => {});
  if (count > most) fail(`${name}: the server sent more than the ${most} bytes that were asked for`);
  if (count < expected) fail(`${name}: ended after ${count} of ${expected} bytes: try again`);
  const bytes = new Uint8Array(count);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

const reasonOf = ({ message, cause }: Error): string =>
  (cause as { code?: string; message?: string } | undefined)?.code ?? (cause as Error | undefined)?.message ?? message;

/** A file at an address, and those beside it; an address that ends in a slash is a folder. */
export async function httpPlace(address: string | URL, fetcher: typeof fetch = fetch) {
  const file = new URL(address).pathname.endsWith('/') ? null : await httpSource(address, fetcher);
  const open = async (name: string): Promise<ByteSource | null> => {
    const beside = new URL(address);
    beside.pathname = beside.pathname.replace(/[^/]*$/, name);
    return httpSource(beside, fetcher).catch((error: Error) => {
      if (/HTTP 4\d\d/.test(error.message)) return null;
      throw error;
    });
  };
  return { name: String(address), file, open, [Symbol.asyncDispose]: async () => {} };
}
