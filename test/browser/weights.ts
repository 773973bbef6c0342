// In a page: weights of other projects from an address and from Files, and what they come to.
import { loadPretrained, type Where } from '../../mae/index.ts';

export interface Seen {
  readonly kind: string;
  readonly config: unknown;
  readonly mean: readonly number[];
  /** SHA-256 over names and values. */
  readonly digest: string;
}

export async function digestOf(
  where: Where,
  heads: { num_heads?: number; decoder_num_heads?: number } = {},
): Promise<Seen> {
  const { kind, config, data, weights } = await loadPretrained(where, heads);
  const pieces = [...weights].flatMap(([name, values]) => [new TextEncoder().encode(name), bytesOf(values)]);
  const whole = new Uint8Array(await new Blob(pieces).arrayBuffer());
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
  return {
    kind,
    config,
    mean: data.mean,
    digest: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''),
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Fetched by the page, then given as a File, as a picker gives it. */
export async function digestOfFile(
  path: string,
  heads: { num_heads: number; decoder_num_heads: number },
): Promise<Seen> {
  const bytes = new Uint8Array(await (await fetch(path)).arrayBuffer());
  return digestOf(new File([bytes], 'chosen'), heads);
}

/** An address beside the page. */
export const digestAt = (path: string): Promise<Seen> =>
  digestOf(new URL(path, (globalThis as unknown as { location: { href: string } }).location.href));

/** What is said of a file that would run code. */
export const refusalOf = (path: string): Promise<string> =>
  digestOfFile(path, { num_heads: 1, decoder_num_heads: 1 }).then(
    () => 'loaded',
    (error: Error) => error.message,
  );
