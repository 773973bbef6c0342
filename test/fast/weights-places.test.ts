// Weights from an address (with ranges, without, cut, gone, lying), from Blobs and Files, and from the hub by a server that stands for it.
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { loadStanding } from '../../mae/train/checkpoint.ts';
import { httpSource } from '../../mae/weights/http.ts';
import { browserHubPlace } from '../../mae/weights/hub.ts';
import { loadWeights } from '../../mae/weights/node.ts';
import { readAny } from '../../mae/weights/own.ts';
import { loadPretrained } from '../../mae/weights/pretrained.ts';
import { serveFiles } from '../support/file-server.ts';
import { refusal } from '../support/thrown.ts';

const FIXTURES = fileURLToPath(new URL('../oracle/fixtures/weights', import.meta.url));
const HEADS = { num_heads: 2, decoder_num_heads: 1 };
const root = mkdtempSync(join(tmpdir(), 'tesserae-places-'));
test.after(() => rmSync(root, { recursive: true, force: true }));
const hf = await loadWeights(join(FIXTURES, 'hf'));
const full = await loadWeights(join(FIXTURES, 'full.pth'), HEADS);

for (const manners of ['ranges', 'whole'] as const) {
  test(`an address, of a server ${manners === 'ranges' ? 'with' : 'without'} ranges: the same weights`, async () => {
    const server = await serveFiles(FIXTURES, manners);
    try {
      const { kind, weights, data, config } = await loadWeights(`${server.url}/hf/model.safetensors`);
      assert.equal(
        { kind, weights, data, config },
        { kind: hf.kind, weights: hf.weights, data: hf.data, config: hf.config },
      );
      assert.equal((await loadWeights(`${server.url}/hf-five/`)).weights, hf.weights, 'a folder by its address');
      assert.equal((await loadPretrained(new URL(`${server.url}/full.pth`), HEADS)).weights, full.weights);
      assert.is((await loadPretrained(`${server.url}/probe.pth`, HEADS)).kind, 'classifier');
    } finally {
      await server.close();
    }
  });
}

test('of a large file at an address only parts are fetched, tensors beside one another at once', async () => {
  const name = 'large.pth';
  cpSync(join(FIXTURES, 'full-legacy.pth'), join(root, name));
  appendFileSync(join(root, name), Buffer.alloc(40 << 20));
  const server = await serveFiles(root);
  try {
    assert.equal((await loadWeights(`${server.url}/${name}`, HEADS)).weights, full.weights);
    const bytes = server.sent.reduce((sum, part) => sum + part.bytes, 0);
    assert.ok(bytes < 5 << 20, `${bytes} bytes of 40 MB`);
    assert.ok(server.sent.length < 4, `${server.sent.length} requests`);
    const source = await httpSource(`${server.url}/${name}`);
    const far = await source.read(20 << 20, 10);
    assert.is(far.length, 10);
    assert.is((await source.read(source.size - 3, 10)).length, 3);
    assert.is((await source.read(source.size + 3, 10)).length, 0);
  } finally {
    await server.close();
  }
});

test('servers that have nothing, end early, lie, change the file or never end: one line each', async () => {
  const cases = [
    ['ranges', 'nothing.pth', /there is no such file \(HTTP 404\)/],
    ['cut', 'full.pth', /the connection ended after \d+ bytes|ended after \d+ of \d+ bytes/],
    ['another part', 'full.pth', /sent another part/],
    ['endless', 'full.pth', /sent more than the \d+ bytes/],
  ] as const;
  for (const [manners, path, why] of cases) {
    const server = await serveFiles(FIXTURES, manners);
    try {
      assert.match(await refusal(() => loadWeights(`${server.url}/${path}`, HEADS)), why);
    } finally {
      await server.close();
    }
  }
  const changing = await serveFiles(root, 'changes');
  try {
    const source = await httpSource(`${changing.url}/large.pth`);
    assert.match(await refusal(() => source.read(30 << 20, 4)), /changed while it was read/);
  } finally {
    await changing.close();
  }
  const { url, close } = await serveFiles(FIXTURES);
  await close();
  assert.match(await refusal(() => loadWeights(`${url}/full.pth`)), /cannot be reached \(ECONNREFUSED\)/);
  assert.match(await refusal(() => loadStanding(`${url}/full.pth`, 'pretrain')), /cannot be reached/);
});

test('a File, a Blob, and the Files of a folder', async () => {
  const file = (path: string): File => new File([readFileSync(join(FIXTURES, path))], path.split('/').at(-1) as string);
  assert.equal((await loadPretrained(file('full.pth'), HEADS)).weights, full.weights);
  const blob = new Blob([readFileSync(join(FIXTURES, 'bfloat16.safetensors'))]);
  assert.is((await loadPretrained(blob, HEADS)).kind, 'autoencoder');
  const shards = readdirSync(join(FIXTURES, 'hf-five')).map((name) => file(`hf-five/${name}`));
  assert.equal((await loadPretrained(shards)).weights, hf.weights);
  assert.match(await refusal(() => loadPretrained(file('hf/model.safetensors'))), /put it beside/);
  assert.match(await refusal(() => loadPretrained([])), /list of files is empty/);
  assert.equal((await loadPretrained(join(FIXTURES, 'hf'))).weights, hf.weights, 'a folder by its path');
});

/** As much of the hub as its library asks for. */
async function hub(folder: string) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname;
    asked.push(`${request.method} ${path}`);
    let body = '';
    request.on('data', (piece) => (body += piece));
    request.on('end', () => {
      const json = (value: unknown): void =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      const names = readdirSync(folder);
      if (path === '/api/models/some/model/paths-info/main') {
        const wanted = [...(JSON.parse(body).paths as string[])].filter((name) => names.includes(name));
        const infos = wanted.map((name) => ({
          path: name,
          type: 'file',
          oid: Buffer.from(name).toString('hex').padEnd(40, '0').slice(0, 40),
          size: readFileSync(join(folder, name)).length,
          lastCommit: { id: 'c'.repeat(40), title: 't', date: '2024-01-01T00:00:00.000Z' },
        }));
        return json(infos);
      }
      const [, name] = /^\/some\/model\/resolve\/main\/(.+)$/.exec(path) ?? [];
      if (!name || !names.includes(name)) {
        response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end('not found');
        return;
      }
      const bytes = readFileSync(join(folder, name));
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const last = Math.min(Number(to ?? bytes.length - 1), bytes.length - 1);
      const part = bytes.subarray(Number(from ?? 0), last + 1);
      const headers = { etag: '"e"', 'content-length': part.length, 'accept-ranges': 'bytes' };
      const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${last}/${bytes.length}` };
      response.writeHead(from === undefined ? 200 : 206, { ...headers, ...range });
      response.end(request.method === 'HEAD' ? undefined : part);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}

test('a repository of the hub: fetched once into its cache, in browsers read in place', async () => {
  const server = await hub(join(FIXTURES, 'hf'));
  const before = { ...process.env };
  Object.assign(process.env, { HF_ENDPOINT: server.url, HF_HUB_CACHE: join(root, 'hub') });
  try {
    assert.equal((await loadWeights('some/model')).weights, hf.weights);
    const fetched = server.asked.filter((line) => line.startsWith('GET') && line.includes('resolve')).length;
    assert.ok(fetched > 0);
    assert.equal((await loadPretrained('hf://some/model')).weights, hf.weights);
    assert.is(
      server.asked.filter((line) => line.startsWith('GET') && line.includes('resolve')).length,
      fetched,
      'kept',
    );
    assert.match(await refusal(() => loadWeights('some/other')), /some\/other/);
    await using place = await browserHubPlace('some/model', { hubUrl: server.url });
    assert.equal((await readAny(place)).weights, hf.weights);
  } finally {
    await server.close();
    process.env = before;
  }
});

test.run();
