// The parts of the set-up tools that can be judged without a network or a GPU.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

// The tools are plain .mjs without types, run before anything is compiled: imported by address.
const tool = (name: string) => import(new URL(`../../tools/${name}.mjs`, import.meta.url).href);
const { parseSources, debianMirrors, aptConfig, aptReason } = await tool('apt');
const { cacheDir, hostNode, withLock } = await tool('cache');
const { staleness, npmRemedy, requireNode } = await tool('packages');
const { parseSummary, verdict } = await tool('uvu');
const { takeOption, asksForHelp } = await tool('argv');
const { tied } = await tool('launch');
const { driverReason } = await tool('adapter');
const { vectorWidth } = await tool('software-gpu');
const { candidates } = await tool('candidates');
const { advice, distribution } = await tool('advice');
const { importsOf, checkBrowser, checkImports, checkSize, checkWords } = await tool('check-rules');
const { run } = await tool('child');

const LIST = `# comment
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://mirror.example/debian/ bookworm main contrib # tail
deb-src https://mirror.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb https://download.example/linux/ubuntu stable stable
`;
const STANZAS = `Types: deb deb-src
# an older address: http://snapshot.example
URIs: http://one.example/debian
 http://two.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main
`;

test('mirrors come from sources files when apt has no lists', () => {
  assert.equal(debianMirrors('', parseSources(LIST, false)), ['https://mirror.example/debian']);
  assert.equal(debianMirrors('', parseSources(STANZAS, true)), [
    'http://one.example/debian',
    'http://two.example/debian',
  ]);
  assert.equal(debianMirrors('', []), []);
});

test('cloud images name their mirrors in a file of their own', () => {
  const text = 'Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm\nComponents: main\n';
  assert.is(debianMirrors('', parseSources(text, true))[0], 'mirror+file:///etc/apt/mirrors/debian.list');
});

test("apt's own index comes first, third parties and security are left out", () => {
  const indexed =
    'https://other.example/node_20.x/ . nodistro\nhttp://a/debian-security/ Debian\nhttp://a/debian/ Debian\n';
  assert.equal(debianMirrors(indexed, parseSources(LIST, false)), ['http://a/debian', 'https://mirror.example/debian']);
});

test('apt works on private folders only', () => {
  const config: string = aptConfig('/w', 'amd64');
  for (const [, path] of config.matchAll(/^Dir\S* "([^"]*)"/gm))
    assert.ok(!path || path.startsWith('/w/') || path === '/dev/null', path);
  assert.match(config, '#clear APT::Update::Post-Invoke;');
  assert.is(aptReason('Ign:1 x\nW: late\nE: The repository is not signed.\nE: two'), 'The repository is not signed.');
});

test('the cache lies where the platform keeps caches', () => {
  assert.is(cacheDir({ TESSERAE_CACHE: '/t', XDG_CACHE_HOME: '/x' }, 'linux', '/h'), '/t');
  assert.is(cacheDir({ XDG_CACHE_HOME: '/x' }, 'linux', '/h'), '/x/tesserae');
  assert.is(cacheDir({ XDG_CACHE_HOME: 'relative' }, 'linux', '/h'), '/h/.cache/tesserae');
  assert.is(cacheDir({}, 'darwin', '/h'), '/h/Library/Caches/tesserae');
});

test('the real Node is found under a loader', () => {
  assert.is(hostNode({}, '/usr/bin/node', 'node'), '/usr/bin/node');
  assert.is(hostNode({}, '/p/ld-linux-x86-64.so.2', '/bin/sh'), '/bin/sh');
  assert.is(hostNode({}, '/p/ld-linux-x86-64.so.2', 'node'), 'node');
  assert.is(hostNode({ TESSERAE_HOST_NODE: '/bin/sh' }, '/p/ld-linux-x86-64.so.2', 'node'), '/bin/sh');
});

const manifest = { dependencies: { a: '^1.0.0' }, devDependencies: {} };
const lock = {
  packages: {
    '': manifest,
    'node_modules/a': { version: '1.2.0' },
    'node_modules/a-mac': { version: '1.2.0', optional: true },
  },
};

test('packages are stale when missing, older than the lock, or half installed', () => {
  const there = { packages: { 'node_modules/a': { version: '1.2.0' } } };
  assert.is(staleness(manifest, lock, there), null);
  assert.match(staleness(manifest, lock, null), 'missing');
  assert.match(staleness(manifest, lock, { packages: {} }), 'a 1.2.0');
  assert.match(staleness(manifest, lock, { packages: { 'node_modules/a': { version: '1.1.0' } } }), 'a 1.2.0');
  assert.match(staleness({ ...manifest, dependencies: { a: '^2.0.0' } }, lock, there), 'package.json');
  assert.match(staleness(manifest, null, { packages: {} }), 'a is missing');
});

test('what imports packages is started by npm after they are installed', () => {
  const tools = fileURLToPath(new URL('../../tools/', import.meta.url));
  const bare = (name: string, seen = new Set<string>()): boolean =>
    !seen.has(name) &&
    Boolean(seen.add(name)) &&
    importsOf(readFileSync(join(tools, name), 'utf8').replace(/\bimport\(/g, 'lazily(')).some(
      ({ specifier }: { specifier: string }) =>
        specifier.startsWith('./') ? bare(specifier.slice(2), seen) : !specifier.startsWith('node:'),
    );
  const { scripts } = JSON.parse(readFileSync(join(tools, '..', 'package.json'), 'utf8'));
  const first = 'node --import ./tools/with-packages.mjs ';
  const wrong = Object.entries(scripts as Record<string, string>).filter(([, script]) => {
    const tool = /tools\/([\w-]+\.mjs)(?: |$)/.exec(script.replace(first, ''))?.[1] as string;
    return bare(tool) !== script.startsWith(first);
  });
  assert.equal(wrong, []);
  assert.ok(bare('build.mjs') && !bare('with-packages.mjs'));
});

test('an old Node and a missing network are named with a remedy', () => {
  assert.throws(() => requireNode('20.18.1'), /20\.19 or newer/);
  requireNode('20.19.0');
  requireNode('22.1.0');
  assert.match(npmRemedy('npm error code ENOTFOUND\nnpm error network request failed\n'), 'network');
  assert.match(npmRemedy('npm error code SELF_SIGNED_CERT_IN_CHAIN\n'), 'cafile');
  assert.match(npmRemedy('odd'), 'npm failed: odd');
});

const ended = (all: string, more = {}) => ({ code: 0, signal: null, timedOut: false, all, ...more });
const closing = (total: number, passed: number, skipped = 0) =>
  `\n  Total:     ${total}\n  Passed:    \u001b[32m${passed}\u001b[39m\n  Skipped:   ${skipped}\n  Duration:  1.65ms\n`;

test('a test file is judged by its summary and by its end', () => {
  assert.equal(parseSummary(closing(3, 2, 1)), { total: 3, passed: 2, skipped: 1 });
  assert.is(parseSummary('Total: many'), null);
  assert.equal(verdict(ended(closing(3, 3)), 9), { passed: 3, failed: 0, skipped: 0, why: '' });
  assert.is(verdict(ended(closing(3, 1), { code: 1 }), 9).failed, 2);
  for (const broken of [
    ended(''),
    ended(closing(0, 0)),
    ended('SyntaxError', { code: 1 }),
    ended(closing(3, 3), { code: 1 }),
    ended(closing(3, 3), { code: null, signal: 'SIGSEGV' }),
    ended(closing(3, 3), { code: null, signal: 'SIGKILL', timedOut: true }),
  ]) {
    const judged = verdict(broken, 9);
    assert.is(judged.failed, 1);
    assert.ok(judged.why);
  }
});

test('options are taken out of an argument list, up to --', () => {
  assert.equal(takeOption(['a', '--adapter', 'x', 'b'], '--adapter'), { value: 'x', rest: ['a', 'b'] });
  assert.equal(takeOption(['--adapter=x=y'], '--adapter'), { value: 'x=y', rest: [] });
  assert.equal(takeOption(['--', '--adapter', 'x'], '--adapter'), { value: undefined, rest: ['--', '--adapter', 'x'] });
  assert.is(takeOption(['--adapter'], '--adapter').value, '');
  assert.ok(asksForHelp([]) && asksForHelp(['pretrain', '--help']) && asksForHelp(['help', 'doctor']));
  assert.not(asksForHelp(['reconstruct', '--', '--help']));
});

test('512-bit vectors are asked for where the processor has them and the user has not chosen', () => {
  const wide = 'processor : 0\nflags\t\t: fpu avx2 avx512f avx512dq avx512bw avx512vl\n';
  assert.equal(vectorWidth({}, wide), { LP_NATIVE_VECTOR_WIDTH: '512' });
  assert.equal(vectorWidth({}, wide.replace('avx512bw', '')), {});
  assert.equal(vectorWidth({ LP_NATIVE_VECTOR_WIDTH: '128' }, wide), {});
});

test("the system's own Mesa, whose version is not known, keeps its width of vectors", () => {
  for (const name of ['system', 'lavapipe', 'auto', 'some adapter']) {
    const system = candidates(name, {}).filter(({ kind }: { kind: string }) => kind === 'system');
    assert.is(system.length, 1);
    assert.not('LP_NATIVE_VECTOR_WIDTH' in system[0].env, name);
  }
});

test('what was not tried is called untested', () => {
  const fedora = distribution('NAME="Fedora Linux"\nID=fedora\n');
  assert.match(advice('linux', fedora), /dnf.*\(untested\)/);
  assert.match(advice('linux', distribution('ID=mint\nID_LIKE="ubuntu debian"\n')), /apt-get.*\(untested\)/);
  assert.not.match(advice('linux', distribution('ID=debian\nVERSION_CODENAME=bookworm\n')), 'untested');
  assert.match(driverReason("a\nWarning: Couldn't load Vulkan: libvulkan.so.1: no\n"), 'libvulkan.so.1');
  assert.is(driverReason('a\nWarning:  x required.\n'), 'x required');
});

test('imports are found in every form and judged by layer', () => {
  const text =
    "import a, { b } from './a.ts';\nimport type { C } from '../engine/c.ts';\n// import 'x';\nexport * from './d.ts';\nawait import('./e.ts');\nimport {\n  f,\n} from 'node:fs';\n";
  assert.equal(
    importsOf(text).map((i: { specifier: string; line: number }) => `${i.specifier}:${i.line}`),
    ['./a.ts:1', '../engine/c.ts:2', './d.ts:4', './e.ts:5', 'node:fs:8'],
  );
  const judge = (path: string, specifier: string) =>
    checkImports({ path, text: `import '${specifier}';` }, ['zod']).length;
  assert.is(judge('kernels/gemm/gemm.ts', '../kernel.ts'), 0);
  assert.is(judge('kernels/gemm/gemm.ts', '../../engine/index.ts'), 1);
  assert.is(judge('engine/device.ts', '../mae/index.ts'), 1);
  assert.is(judge('engine/device.ts', 'node:fs'), 1);
  assert.is(judge('engine/device.ts', './node/index.ts'), 1);
  assert.is(judge('engine/node/index.ts', 'node:fs'), 0);
  assert.is(judge('mae/train.ts', '../test/support/x.ts'), 1);
  assert.is(judge('mae/train.ts', '../tools/cache.mjs'), 1);
  assert.is(judge('mae/train.ts', 'zod'), 0);
  assert.is(judge('mae/train.ts', 'uvu'), 1);
});

test('what browsers load reaches neither Node nor packages, over any number of files', () => {
  const files = {
    'mae/browser.ts':
      "import type { A } from 'node:a';\nimport { b } from './b.ts';\nexport type { C } from './c.ts';\n",
    'mae/b.ts': "// import 'node:b';\nimport '../engine/d.ts';\n",
    'mae/c.ts': "import 'node:c';\n",
    'engine/d.ts': "export const gone = 1;\nconst lazy = () => import('zod');\nconst on = process.env.ON;\n",
    'engine/index.ts': "import './node/index.ts';\n",
    'engine/node/index.ts': "import 'node:fs';\n",
  };
  const found: string[] = checkBrowser(Object.entries(files).map(([path, text]) => ({ path, text })));
  assert.equal(found.sort(), [
    'engine/d.ts:2  imports zod: browsers load this file, which mae/browser.ts reaches by mae/b.ts > engine/d.ts',
    'engine/d.ts:3  uses process of Node: browsers load this file, which mae/browser.ts reaches by mae/b.ts > engine/d.ts',
    'engine/node/index.ts:1  imports node:fs: browsers load this file, which engine/index.ts reaches by engine/node/index.ts',
  ]);
});

test('long files and unfinished work are named with their place', () => {
  assert.equal(checkSize({ path: 'engine/ops/a.ts', text: 'x\n'.repeat(60) }), []);
  assert.match(checkSize({ path: 'engine/ops/a.ts', text: 'x\n'.repeat(61) })[0], 'engine/ops/a.ts:61');
  assert.match(checkSize({ path: 'kernels/a/a.wgsl', text: 'x\n'.repeat(151) })[0], '151 lines');
  assert.match(checkWords({ path: 'mae/a.ts', text: `x\n// ${'TO'}${'DO'}: y` })[0], 'mae/a.ts:2');
  assert.is(checkWords({ path: 'test/a.test.ts', text: `test.${'only'}('x', f)` }).length, 1);
  assert.is(checkWords({ path: 'mae/a.ts', text: 'todo list; rows.skip(2)' }).length, 0);
});

test('a lock lets one in at a time and is taken over when its holder is gone', async () => {
  const before = process.env.TESSERAE_CACHE;
  process.env.TESSERAE_CACHE = mkdtempSync(join(tmpdir(), 'tesserae-'));
  let inside = 0;
  const work = () =>
    withLock('x', async () => {
      assert.is(++inside, 1);
      await new Promise((wake) => setTimeout(wake, 20));
      inside--;
    });
  await Promise.all([work(), work(), work()]);
  const { mkdirSync, utimesSync } = await import('node:fs');
  const stale = join(process.env.TESSERAE_CACHE, 'locks', 'x');
  mkdirSync(stale);
  utimesSync(stale, 0, 0);
  await work();
  rmSync(process.env.TESSERAE_CACHE, { recursive: true });
  if (before === undefined) delete process.env.TESSERAE_CACHE;
  else process.env.TESSERAE_CACHE = before;
});

test('a program is ended with its children when its time is up, and one that is missing says so', async () => {
  const began = performance.now();
  const end = await run('sh', ['-c', 'echo early; sleep 30 & sleep 30'], { timeout: 300 });
  assert.ok(end.timedOut && performance.now() - began < 5000);
  assert.is(end.out, 'early\n');
  assert.is((await run('no-such-program-here', [])).code, 127);
  assert.is(tied(['node', ['x']])[1].at(-1), 'x');
});

test.run();
