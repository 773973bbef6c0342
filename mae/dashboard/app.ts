// What the dashboard answers to: its page, a stream of events, and pictures of the runs that it was given, to this machine alone.
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { PICTURES } from '../train/progress-pictures.ts';
import type { Assets } from './assets.ts';
import type { Watch } from './watch.ts';
import type { Message } from './wire.ts';

/** A connection over which nothing goes is ended by some programs in between. */
const STILL_HERE_MS = 15_000;
/** After a lost connection the page tries again. */
const RETRY_MS = 1000;
/** Messages that a page has not taken yet; one that takes none any more is let go. */
const MOST_WAITING = 1000;

/** Whatever a browser may be told to do by another page: nothing is loaded from elsewhere, shown elsewhere, or sent. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/**
 * @param port that the server listens on: a name that some other page gave this machine's address is none of ours (DNS rebinding)
 */
export function makeApp(watch: Watch, assets: () => Promise<Assets>, port: () => number): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    const host = c.req.header('host') ?? '';
    if (!['127.0.0.1', 'localhost'].some((name) => host === `${name}:${port()}`))
      return c.text(`this dashboard is http://127.0.0.1:${port()}/ and not ${host.slice(0, 100)}\n`, 421);
    for (const [name, value] of Object.entries(HEADERS)) c.header(name, value);
    return next();
  });
  app.get('/', async (c) => c.html((await assets()).page));
  for (const [path, type, key] of [
    ['/dashboard.js', 'text/javascript', 'script'],
    ['/dashboard.css', 'text/css', 'style'],
    ['/icon.svg', 'image/svg+xml', 'icon'],
  ] as const)
    app.get(path, async (c) => c.body((await assets())[key], 200, { 'content-type': `${type}; charset=utf-8` }));
  app.get('/runs/:id/:name', async (c) => {
    const id = Number(c.req.param('id'));
    const name = c.req.param('name');
    // Only what was told of: the name never makes a path of its own.
    const found = () => watch.picturesOf(id).find((one) => one.name === name);
    let picture = found();
    if (!picture) {
      await watch.look();
      picture = found();
    }
    if (!picture) return c.notFound();
    const file = createReadStream(join(watch.path(id) as string, PICTURES, picture.name));
    return c.body(Readable.toWeb(file) as ReadableStream, 200, { 'content-type': 'image/png' });
  });
  app.get('/events', (c) =>
    streamSSE(c, async (stream) => {
      const waiting: Message[] = [];
      let wake = (): void => {};
      const stop = await watch.listen((message) => {
        waiting.push(message);
        wake();
      });
      stream.onAbort(() => {
        stop();
        wake();
      });
      await stream.write(`retry: ${RETRY_MS}\n\n`);
      while (!stream.aborted && waiting.length < MOST_WAITING) {
        const message = waiting.shift();
        if (message) {
          await stream.writeSSE({ event: message.event, data: JSON.stringify(message.data) });
          if (message.event === 'bye') break;
        } else {
          const timer = setTimeout(() => wake(), STILL_HERE_MS).unref();
          await new Promise<void>((done) => void (wake = done));
          clearTimeout(timer);
          if (!waiting.length && !stream.aborted) await stream.write(': still here\n\n');
        }
      }
      stop();
    }),
  );
  app.notFound((c) => c.text('there is nothing here; the dashboard is at /\n', 404));
  return app;
}
