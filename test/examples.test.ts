// The training examples run from the clone, learn, and are as short as the README says; those with a page are run by package.test.ts.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../', import.meta.url));

for (const name of ['engine', 'trainer']) {
  test(`mae/examples/${name}.ts is under 30 lines and its loss falls`, () => {
    const path = `mae/examples/${name}.ts`;
    const lines = readFileSync(`${root}${path}`, 'utf8').trim().split('\n').length;
    assert.ok(lines < 30, `${path} has ${lines} lines`);
    const node = process.env.TESSERAE_NODE ?? process.execPath;
    const args = ['--import', './tools/register.mjs', 'mae/cli/main.ts', 'run', path];
    const { status, stdout, stderr } = spawnSync(node, args, { cwd: root, encoding: 'utf8' });
    assert.is(status, 0, stderr);
    const losses = stdout
      .trim()
      .split('\n')
      .map((line) => Number(line.trim().split(' ').at(-1)));
    assert.is(losses.length, 20);
    assert.ok(losses.every(Number.isFinite), stdout);
    assert.ok(losses[19] < 0.8 * losses[0], stdout);
  });
}

test('an op of your own takes under 40 lines, kernel, gradient and reference included', () => {
  const path = 'engine/examples/custom-op/silu.ts';
  const lines = readFileSync(`${root}${path}`, 'utf8').trim().split('\n').length;
  assert.ok(lines < 40, `${path} has ${lines} lines`);
});

test.run();
