// The training examples run from the clone, learn, and are as short as the README says; those with a page are run by package.test.ts.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const scratch = mkdtempSync(join(tmpdir(), 'tesserae-examples-'));
test.after(() => rmSync(scratch, { recursive: true, force: true }));
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

test('mae/examples/search.ts finds the copy of an image among others', () => {
  const node = process.env.TESSERAE_NODE ?? process.execPath;
  const copy = join(scratch, 'copy.png');
  cpSync(`${root}mae/web/samples/bird.png`, copy);
  const others = ['cat', 'bird', 'ship'].map((name) => `mae/web/samples/${name}.png`);
  const weights = 'mae/web/weights/cifar10.safetensors';
  const args = ['--import', './tools/register.mjs', 'mae/cli/main.ts', 'run', 'mae/examples/search.ts', weights];
  const { status, stdout, stderr } = spawnSync(node, [...args, ...others, copy], { cwd: root, encoding: 'utf8' });
  assert.is(status, 0, stderr);
  const lines = stdout.trim().split('\n');
  assert.is(lines.length, 4);
  assert.is(lines[3], `${copy} is most like mae/web/samples/bird.png 1.000`);
  assert.is(lines[1], `mae/web/samples/bird.png is most like ${copy} 1.000`);
  for (const line of lines) assert.ok(Math.abs(Number(line.split(' ').at(-1))) <= 1, line);
});

test('an op of your own takes under 40 lines, kernel, gradient and reference included', () => {
  const path = 'engine/examples/custom-op/silu.ts';
  const lines = readFileSync(`${root}${path}`, 'utf8').trim().split('\n').length;
  assert.ok(lines < 40, `${path} has ${lines} lines`);
});

test.run();
