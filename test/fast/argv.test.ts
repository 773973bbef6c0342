// What the launcher reads off a command line before it looks for an adapter.
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const { needsDevice } = await import(new URL('../../tools/argv.mjs', import.meta.url).href);

test('commands that compute nothing need no adapter, and no others are taken for such', () => {
  for (const argv of [
    ['report', 'x'],
    ['--trace', 'plan', 'convert', 'a'],
    ['--adapter=gpu', 'data'],
    ['onnx', 'pretrain', 'x'],
  ])
    assert.not(needsDevice(argv), argv.join(' '));
  for (const argv of [
    [],
    ['doctor'],
    ['--timings', 'pretrain', '--data_path', 'data'],
    ['--trace', 'data', 'features', 'report'],
  ])
    assert.ok(needsDevice(argv), argv.join(' '));
  const files = new URL('../../mae/cli/', import.meta.url);
  for (const name of readdirSync(files)) {
    const command = name.replace(/\.ts$/, '');
    if (needsDevice([command])) continue;
    assert.not.match(readFileSync(new URL(name, files), 'utf8'), /openEngine|openDawn/, `${command} opens a device`);
  }
});

test.run();
