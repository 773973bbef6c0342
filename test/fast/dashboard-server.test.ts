// The dashboard's server without a browser: what is answered, to whom, and for how long.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { withDashboard } from '../../mae/dashboard/beside.ts';
import { type Dashboard, serveDashboard } from '../../mae/dashboard/serve.ts';
import type { Message, Run } from '../../mae/dashboard/wire.ts';
import type { Line } from '../../mae/report/lines.ts';
import { thisProcess } from '../../mae/train/process.ts';
import { UsageError } from '../../mae/usage.ts';
import { jsonLines, metricsOf, writeRun } from '../support/run-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'tesserae-dashboard-'));
test.after(() => rmSync(root, { recursive: true }));
const at = (...names: string[]): string => join(root, ...names);

/** As no browser would ask. */
const ask = (
  address: string,
  path: string,
  host?: string,
): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> =>
  new Promise((done, failed) => {
    const { hostname: name, port } = new URL(address);
    const asked = request({ host: name, port, path, headers: host === undefined ? {} : { host } }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () =>
        done({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
      );
    });
    asked.on('error', failed).end();
  });

/** Events of a stream, one after another. */
async function* eventsOf(address: string): AsyncGenerator<Message> {
  const { body } = await fetch(`${address}events`);
  let text = '';
  for await (const part of (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const found = /^event: (\w+)\ndata: (.*)$/m.exec(text.slice(0, end));
      text = text.slice(end + 2);
      if (found) yield { event: found[1], data: JSON.parse(found[2]) } as Message;
    }
  }
}

test('it answers to this machine by its own name alone, and with nothing but what was told of', async () => {
  await writeRun(at('served'), { facts: { process: thisProcess() }, epochs: 1 });
  const board = await serveDashboard([at('served')], { port: 0 });
  try {
    const { port } = new URL(board.address);
    assert.match(board.address, /^http:\/\/127\.0\.0\.1:\d+\/$/);
    const page = await ask(board.address, '/');
    assert.is(page.status, 200);
    assert.match(String(page.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/);
    assert.is(page.headers['access-control-allow-origin'], undefined);
    assert.is((await ask(board.address, '/', `localhost:${port}`)).status, 200);
    for (const host of ['rebound.example', `rebound.example:${port}`, '127.0.0.1', `127.0.0.1:${Number(port) + 1}`])
      for (const path of ['/', '/events', '/runs/0/original.png'])
        assert.is((await ask(board.address, path, host)).status, 421, `${host} ${path}`);

    const picture = await ask(board.address, '/runs/0/original.png?5');
    assert.equal(
      [picture.status, picture.headers['content-type'], picture.body.toString('latin1', 1, 4)],
      [200, 'image/png', 'PNG'],
    );
    for (const path of [
      '/runs/0/..%2Frun.json',
      '/runs/0/%2e%2e%2frun.json',
      '/runs/0/../run.json',
      '/runs/0/..%5Crun.json',
      '/runs/0/epoch-0099.png',
      '/runs/0/original.png%00',
      '/runs/0/run.json',
      '/runs/1/original.png',
      '/runs/-1/original.png',
      '/runs/__proto__/original.png',
      '/run.json',
      '/..%2f..%2fetc%2fpasswd',
      '//etc/passwd',
    ])
      assert.is((await ask(board.address, path)).status, 404, path);
    const script = await ask(board.address, '/dashboard.js');
    assert.is(script.headers['content-type'], 'text/javascript; charset=utf-8');
    assert.ok(script.body.length > 20_000 && script.body.length < 200_000, `${script.body.length} bytes`);
  } finally {
    await board.close();
  }
});

test('events: everything, then what is new, and a farewell', async () => {
  const path = at('streamed');
  await writeRun(path, { facts: { process: thisProcess() }, epochs: 1 });
  const board = await serveDashboard([path], { port: 0 });
  const events = eventsOf(board.address);
  const next = async () => (await events.next()).value as Message;
  assert.is((await next()).event, 'all');
  assert.is((await next()).event, 'comparison');
  const more = metricsOf(2).slice(metricsOf(1).length);
  appendFileSync(join(path, 'metrics.jsonl'), jsonLines(more));
  assert.equal(await next(), { event: 'lines', data: { id: 0, metrics: more, epochs: [] } });
  // What the run wrote last is told before the end.
  appendFileSync(join(path, 'log.txt'), jsonLines([{ epoch: 1, train_loss: 1 }]));
  const closed = board.close();
  assert.equal(((await next()).data as { epochs: Line[] }).epochs, [{ epoch: 1, train_loss: 1 }]);
  assert.is((await next()).event, 'comparison');
  assert.is((await next()).event, 'bye');
  await closed;
  assert.is((await events.next()).done, true);
});

test('a port that is taken: one clear line, and a run that goes on without', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => other.once('listening', done));
  const { port } = other.address() as AddressInfo;
  try {
    const error = await serveDashboard([root], { port }).then(
      (board: Dashboard) => board.close(),
      (e: Error) => e,
    );
    assert.instance(error, UsageError);
    assert.match(String((error as Error).message), new RegExp(`^port ${port} is taken`));
    const notes: string[] = [];
    let said = (): void => {};
    const heard = new Promise<void>((done) => void (said = done));
    const note = (line: string): void => {
      notes.push(line);
      said();
    };
    const result = await withDashboard(String(port), root, note, async () => {
      await heard;
      return 'trained';
    });
    assert.is(result, 'trained');
    assert.match(notes.join('\n'), new RegExp(`^--dashboard: port ${port} is taken.*; training goes on without`));
  } finally {
    other.close();
  }
});

test('a run serves itself from a thread of its own for as long as it takes', async () => {
  await writeRun(at('itself'), { epochs: 1, facts: { process: thisProcess() } });
  const seen = await withDashboard(
    '0',
    at('itself'),
    (line) => heard(/http:\S+/.exec(line)?.[0] ?? line),
    async () => {
      const address = await addressed;
      const events = eventsOf(address);
      const { data } = (await events.next()).value as { data: Run[] };
      return { address, state: data[0].state, rest: events };
    },
  );
  assert.is(seen.state, 'running');
  let last = '';
  for await (const { event } of seen.rest) last = event;
  assert.is(last, 'bye');
  await fetch(seen.address).then(
    () => assert.unreachable('it is still served'),
    () => undefined,
  );
});
let heard: (address: string) => void = () => {};
const addressed = new Promise<string>((done) => void (heard = done));

test.run();
