// Fetching sets from a site: files are unpacked and checked, a source that fails gives way to the next, nothing is left behind.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { random } from '../../kernels/random/random.ts';
import { type FetchedSet, fetchSet, isFetched } from '../../mae/data/fetch.ts';
import { webSource } from '../../mae/data/fetch-sources.ts';
import { gzip, noise } from '../support/datafiles.ts';

const rng = random(Date.now() % 2 ** 31);
const body = noise(rng, 5000);
const archive = gzip(noise(rng, 3000));
const served = new Map<string, Uint8Array | null>([
  ['/a/images.gz', gzip(body)],
  ['/a/whole.tar.gz', archive],
  ['/bad/images.gz', gzip(noise(rng, 5000))],
  ['/bad/whole.tar.gz', archive],
  ['/cut/images.gz', gzip(body).subarray(0, 100)],
  // Answers, and then nothing comes.
  ['/stalled/images.gz', null],
]);
let server: Server;
let site = '';
let root = '';
test.before(async () => {
  server = createServer(({ url }, response) => {
    const found = served.get(url ?? '');
    if (found === undefined) response.writeHead(404).end();
    else if (found === null) response.writeHead(200).write('x');
    else response.writeHead(200, { 'content-length': found.length }).end(found);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
test.after(() => {
  server.closeAllConnections();
  server.close();
});
test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), 'tesserae-fetch-'));
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const setFrom = (...folders: string[]): FetchedSet => ({
  name: 'someset',
  files: [
    { name: 'images', md5: md5(body) },
    { name: 'whole.tar.gz', md5: md5(archive) },
  ],
  sources: folders.map((folder) => webSource(`${site}/${folder}/`, ['images.gz', 'whole.tar.gz'], 300)),
  byHand: 'both files',
});

test('files are unpacked, archives kept as they are, progress told, and no network is needed afterwards', async () => {
  const told: number[] = [];
  const folder = await fetchSet(setFrom('a'), (fraction) => told.push(fraction), root);
  assert.equal(readFileSync(join(folder, 'images')), body);
  assert.equal(readFileSync(join(folder, 'whole.tar.gz')), archive);
  assert.equal([told.at(-1), told.every((x, i) => x >= (told[i - 1] ?? 0))], [1, true]);
  assert.ok(await isFetched(setFrom(), root));
  assert.is(await fetchSet(setFrom(), undefined, root), folder);
});

test('a source with other bytes, a missing file, a cut one or none at all gives way to the next', async () => {
  for (const first of ['bad', 'missing', 'cut', 'stalled']) {
    const folder = await fetchSet(setFrom(first, 'a'), undefined, root);
    assert.equal(readFileSync(join(folder, 'images')), body, first);
    rmSync(folder, { recursive: true });
  }
});

test('where all fail, each reason is told with what to do, and nothing is left behind', async () => {
  const error = await fetchSet(setFrom('bad', 'missing', 'stalled'), undefined, root).catch((e: Error) => e);
  const { message } = error as Error;
  assert.match(message, /someset could not be fetched by .*\/bad\/ \(MD5 of images is [0-9a-f]{32}, expected/);
  assert.match(message, /nor by .*\/missing\/ \(.* answers 404\), nor by .*\/stalled\/ \(nothing came .* for 0\.3 s\)/);
  assert.match(message, /Try again with a network, or put both files into .*someset$/);
  assert.equal(readdirSync(root), []);
});

test.run();
