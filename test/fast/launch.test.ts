// The launcher: what a program that it starts sees of the user's environment, and that what it says comes through in its order.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const tool = (name: string) => import(new URL(`../../tools/${name}.mjs`, import.meta.url).href);
const { noiseFilter } = await tool('launch');
const { pristine, launchEnvironment } = await tool('environment');

test('native noise is left out however it is cut, the rest passes at once', () => {
  const text = 'one\nWarning: maxA artificially reduced from 1 to 2 to fit.\nWarning: max is 3\ntwo';
  for (let cut = 0; cut <= text.length; cut++) {
    let shown = '';
    const filter = noiseFilter((part: string) => (shown += part));
    filter.write(text.slice(0, cut));
    filter.write(text.slice(cut));
    filter.end();
    assert.is(shown, 'one\nWarning: max is 3\ntwo');
  }
});

test('what a launched program says on both streams comes in its order, in a file of both', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-order-'));
  const entry = join(folder, 'says.mjs');
  const wide = 'x'.repeat(5000);
  writeFileSync(entry, `for (let i = 0; i < 40; i++) process[i % 2 ? 'stdout' : 'stderr'].write(i + ' ${wide}\\n');`);
  const start = `import { launch } from ${JSON.stringify(new URL('../../tools/launch.mjs', import.meta.url).href)};
    process.exitCode = await launch([], { entry: ${JSON.stringify(entry)} });`;
  const both = openSync(join(folder, 'both.txt'), 'w');
  const { status } = spawnSync(process.execPath, ['--input-type=module', '--eval', start], {
    stdio: ['ignore', both, both],
  });
  closeSync(both);
  const said = readFileSync(join(folder, 'both.txt'), 'utf8').trim().split('\n');
  rmSync(folder, { recursive: true });
  assert.is(status, 0);
  assert.equal(
    said,
    Array.from({ length: 40 }, (_, i) => `${i} ${wide}`),
  );
});

test('what npx started ends when npm or its shell does; what a script put into the background lives on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tesserae-npm-'));
  const at = (name: string): string => join(folder, name);
  writeFileSync(
    at('entry.mjs'),
    `import { writeFileSync } from 'node:fs';
    const say = (what) => writeFileSync(process.argv[2] + '.' + what, String(process.pid));
    process.on('SIGTERM', () => { say('ended'); process.exit(0); });
    setInterval(() => {}, 1000);
    say('begun');`,
  );
  writeFileSync(
    at('start.mjs'),
    `import { launch } from ${JSON.stringify(new URL('../../tools/launch.mjs', import.meta.url).href)};
    await launch([process.argv[2]], { entry: ${JSON.stringify(at('entry.mjs'))} });`,
  );
  // npm runs a shell, which waits for the command.
  const line = (name: string) => `"${process.execPath}" "${at('start.mjs')}" "${at(name)}"; true`;
  writeFileSync(
    at('npm.mjs'),
    `import { spawn } from 'node:child_process';
    spawn('sh', ['-c', process.argv[2]], { stdio: 'inherit' });`,
  );
  const there = async (name: string): Promise<number> => {
    for (; !existsSync(at(name)) || !readFileSync(at(name), 'utf8'); )
      await new Promise((wake) => setTimeout(wake, 20));
    return Number(readFileSync(at(name), 'utf8'));
  };
  const begin = async (name: string, npm_lifecycle_script: string, ...command: string[]) => {
    const child = spawn(command[0], command.slice(1), {
      stdio: 'ignore',
      env: { ...process.env, npm_lifecycle_script },
    });
    return { child, pid: await there(`${name}.begun`) };
  };
  const shell = await begin('shell', 'tesserae pretrain 2>&1 | tee log && true', 'sh', '-c', line('shell'));
  const npm = await begin('npm', 'tesserae pretrain', process.execPath, at('npm.mjs'), line('npm'));
  const apart = await begin('apart', 'tesserae pretrain &', 'sh', '-c', line('apart'));
  for (const { child } of [apart, shell]) child.kill('SIGTERM');
  if (process.platform === 'linux') npm.child.kill('SIGKILL');
  assert.is(await there('shell.ended'), shell.pid);
  if (process.platform === 'linux') assert.is(await there('npm.ended'), npm.pid);
  assert.ok(process.kill(apart.pid, 0), 'still there');
  process.kill(apart.pid, 'SIGKILL');
  rmSync(folder, { recursive: true });
});

test('a launched program sees its variables, and what it starts sees the user as before', () => {
  const user = {
    PATH: '/bin',
    LP_NATIVE_VECTOR_WIDTH: '128',
    TESSERAE_CACHE: mkdtempSync(join(tmpdir(), 'tesserae-')),
  };
  const choice = {
    kind: 'software',
    label: 'x',
    dawnAdapter: '',
    command: [],
    wrapper: '',
    wanted: 'auto',
    env: { VK_ICD_FILENAMES: '/i', LP_NATIVE_VECTOR_WIDTH: '512' },
  };
  const inside = launchEnvironment(choice, user);
  assert.is(inside.VK_ICD_FILENAMES, '/i');
  assert.is(inside.LP_NATIVE_VECTOR_WIDTH, '512');
  assert.equal(pristine(inside), { ...user, TESSERAE_ADAPTER: 'auto' });
  rmSync(user.TESSERAE_CACHE, { recursive: true });
});

test.run();
