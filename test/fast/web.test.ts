// What the page does without a browser: advice where there is no WebGPU, masks, and work that keeps up with a visitor.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, lenKeep, noiseFor, patchesOf } from '../../mae/browser.ts';
import { follow } from '../../mae/web/look/loop.ts';
import { KINDS, Mask } from '../../mae/web/look/mask.ts';
import { adviceFor } from '../../mae/web/missing.ts';

// @ts-expect-error build tools have no types
const { buildWeb } = await import('../../tools/build-web.mjs');
const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const config = configure('mae_vit_nano_patch4_32');
const patches = patchesOf(config);

test('without WebGPU, each browser is told its own way to it', () => {
  const agents: Record<string, RegExp> = {
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36':
      /144.*Vulkan/s,
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Safari/537.36 Edg/112.0':
      /113/,
    'Mozilla/5.0 (Linux; Android 13; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36':
      /121/,
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15':
      /Safari.*26/,
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130 Mobile Safari/604.1':
      /iOS 26/,
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0': /141/,
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0': /145/,
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0': /Nightly/,
    'something else': /Chrome, Edge, Safari 26/,
  };
  for (const [agent, said] of Object.entries(agents)) {
    const { title, lines } = adviceFor(agent, { secure: true, gpu: false });
    assert.match(title, /no WebGPU/);
    assert.match(lines.join('\n'), said, agent);
    assert.not.match(lines.join('\n'), /drivers/);
    assert.match(adviceFor(agent, { secure: true, gpu: true }).lines.join('\n'), /drivers/);
    assert.match(adviceFor(agent, { secure: false, gpu: false }).lines.join('\n'), /https:\/\//);
  }
});

test(`masks are those that reconstruct draws for image 0 (SEED=${seed})`, () => {
  const mask = new Mask(config, 0.75);
  mask.seed = seed;
  for (const kind of KINDS)
    for (const ratio of [0.75, 0.4]) {
      const keep = lenKeep(patches, ratio);
      mask.draw(kind, patches - keep);
      const noise = noiseFor(kind, config, keep, seed, 0);
      const kept = Array.from(noise, (_, l) => l).sort((a, b) => noise[a] - noise[b] || a - b);
      assert.equal(
        Array.from(mask.hidden, (_, l) => l).filter((l) => !mask.hidden[l]),
        kept.slice(0, keep).sort((a, b) => a - b),
      );
      assert.is(mask.chosen()?.keep, keep);
      assert.is(mask.kind, kind);
    }
});

test('a painted mask is the patches that were painted; one patch stays, and nothing hidden is nothing to rebuild', () => {
  const mask = new Mask(config, 0.75);
  mask.draw('random', 0);
  assert.is(mask.chosen(), null);
  assert.not(mask.swap());
  for (let l = 0; l < patches - 1; l++) assert.ok(mask.paint(l, true));
  assert.is(mask.kind, null);
  assert.not(mask.paint(patches - 1, true));
  assert.is(mask.count, patches - 1);
  assert.equal(mask.chosen()?.keep, 1);
  assert.ok(mask.swap());
  assert.equal([...mask.hidden].indexOf(1), patches - 1);
  assert.is(mask.count, 1);
  mask.draw('block', patches);
  assert.is(mask.count, patches - 1);
});

test('work follows the newest state, one run at a time, and goes on after a failure', async () => {
  const frames: (() => void)[] = [];
  const frame = async (): Promise<void> => {
    for (const run of frames.splice(0)) run();
    await new Promise(setImmediate);
  };
  let state = 0;
  let finish = (): void => {};
  const seen: number[] = [];
  const failures: string[] = [];
  const loop = follow(
    (run) => frames.push(run),
    async () => {
      seen.push(state);
      if (state === 3) throw new Error('three');
      await new Promise<void>((done) => {
        finish = done;
      });
    },
    async ({ message }) => void failures.push(message),
  );
  const ask = (to: number): void => {
    state = to;
    loop.ask();
  };
  ask(1);
  ask(2);
  assert.equal(seen, []);
  await frame();
  assert.equal(seen, [2]);
  ask(4);
  ask(5);
  await frame();
  assert.equal(seen, [2], 'one at a time');
  finish();
  await frame();
  await frame();
  assert.equal(seen, [2, 5], 'what lay between is left out');
  finish();
  await frame();
  await frame();
  assert.equal(seen, [2, 5], 'nothing was asked for');
  ask(3);
  await frame();
  assert.equal(failures, ['three']);
  ask(6);
  await frame();
  assert.equal(seen, [2, 5, 3, 6]);
});

test('a port that is taken is told before the page is written', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const page = new URL('../../dist/web/index.html', import.meta.url);
  const written = () => statSync(page, { throwIfNoEntry: false })?.mtimeMs;
  const before = written();
  const tool = fileURLToPath(new URL('../../tools/serve-web.mjs', import.meta.url));
  const web = spawn(process.env.TESSERAE_NODE || process.execPath, [tool, '--port', String(port)]);
  let said = '';
  web.stderr.setEncoding('utf8').on('data', (text) => (said += text));
  const [code] = await once(web, 'close');
  taken.close();
  assert.equal([code, said], [1, `tesserae: port ${port} is taken: give another to --port\n`]);
  assert.is(written(), before);
});

test('what else lies in a folder stays when the page is written there, and the page of another is not written over', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-web-'));
  try {
    writeFileSync(join(folder, 'CNAME'), 'example.org');
    await buildWeb(folder);
    await buildWeb(folder);
    assert.is(readFileSync(join(folder, 'CNAME'), 'utf8'), 'example.org');
    const page = readFileSync(join(folder, 'index.html'), 'utf8');
    for (const [, path] of page.matchAll(/(?:src|href|data-sample)="([^"#]+)"/g))
      assert.ok(existsSync(join(folder, path)), `${path} is not there`);
    const weights = statSync(join(folder, 'weights', 'cifar10.safetensors')).size;
    assert.ok(weights < 2e6, `${weights} bytes of weights`);
    writeFileSync(join(folder, 'index.html'), 'mine');
    await buildWeb(folder).then(
      () => assert.unreachable('it is written over'),
      (error: Error) => assert.match(error.message, /is another page/),
    );
    assert.is(readFileSync(join(folder, 'index.html'), 'utf8'), 'mine');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
