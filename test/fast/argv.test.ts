// What the launcher and the tools read off a command line.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const { needsDevice, toolOptions } = await import(new URL('../../tools/argv.mjs', import.meta.url).href);

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

test('options of a tool: values, switches, and one line for what it does not know', () => {
  const known = ['--out DIR', '--again'];
  const read = (...argv: string[]) => toolOptions('x', '', known, argv);
  assert.equal(read(), { '--out': undefined, '--again': undefined });
  assert.equal(read('--again', '--out=a b', '--again'), { '--out': 'a b', '--again': true });
  assert.is(read('--help', '--nonsense'), null);
  assert.throws(() => read('--out'), /^--out needs a value: --out DIR$/);
  assert.throws(() => read('--oot', 'x'), /^x knows no --oot \(it knows --out DIR, --again, --help\)$/);
  assert.throws(() => read('positional'), /knows no positional/);
});

test('no script of npm run passes over a flag that it does not know', () => {
  const root = new URL('../../', import.meta.url);
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
  const tool = /^node (?:--import \.\/tools\/with-packages\.mjs )?(tools\/[\w-]+\.mjs)$/;
  const tools = Object.values<string>(scripts).flatMap((line) => tool.exec(line)?.[1] ?? []);
  // These two hand their arguments on.
  const own = new Set(tools.filter((path) => !/start|tesserae/.test(path)));
  assert.ok(own.size >= 10, [...own].join(' '));
  const node = process.env.TESSERAE_NODE || process.execPath;
  for (const path of own) {
    const { status, stdout, stderr } = spawnSync(node, [path, '--nonsense'], { cwd: root, encoding: 'utf8' });
    assert.equal([status, stdout], [2, ''], path);
    assert.match(stderr, /^tesserae: [\w:]+ knows no --nonsense \(it knows [^\n]*--help\)\n$/);
  }
});

test.run();
