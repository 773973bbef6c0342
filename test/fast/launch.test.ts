// The launcher: what a program that it starts sees of the user's environment, and that what it says comes through in its order.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
