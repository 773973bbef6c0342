// A server on this machine for the files of a folder, with ranges or without, which can also cut, lie and count.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';

interface Served {
  readonly url: string;
  /** Paths with the bytes that were sent for them. */
  readonly sent: { path: string; bytes: number }[];
  close(): Promise<void>;
}

type Manners = 'ranges' | 'whole' | 'cut' | 'another part' | 'changes' | 'endless';

export async function serveFiles(folder: string, manners: Manners = 'ranges'): Promise<Served> {
  const sent: { path: string; bytes: number }[] = [];
  let asked = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(folder, normalize(path)));
    } catch {
      response.writeHead(404).end('there is nothing');
      return;
    }
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const etag = manners === 'changes' ? `"${asked++}"` : '"1"';
    if (manners === 'whole' || from === undefined) {
      sent.push({ path, bytes: bytes.length });
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      return;
    }
    if (manners === 'endless') {
      response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` });
      const more = setInterval(() => response.write(Buffer.alloc(1 << 20)), 1);
      response.on('close', () => clearInterval(more));
      return;
    }
    const last = Math.min(Number(to), bytes.length - 1);
    const part = bytes.subarray(Number(from), last + 1);
    sent.push({ path, bytes: part.length });
    const begin = manners === 'another part' ? Number(from) + 1 : from;
    const headers = { 'content-range': `bytes ${begin}-${last}/${bytes.length}`, etag, 'content-length': part.length };
    response.writeHead(206, headers);
    if (manners !== 'cut') response.end(part);
    else response.write(part.subarray(0, part.length >> 1), () => response.destroy());
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { url: `http://127.0.0.1:${port}`, sent, close };
}
