// "Add a kernel in five steps" of kernels/README.md, followed to the letter in a copy of the clone: its blocks of code go where it says,
// its commands run as they stand there.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../', import.meta.url));
const node = process.env.TESSERAE_NODE ?? process.execPath;
const copy = mkdtempSync(join(tmpdir(), 'tesserae-steps-'));
process.on('exit', () => rmSync(copy, { recursive: true, force: true }));

function run(args: string[], env: Record<string, string> = {}): string {
  const options = { cwd: copy, encoding: 'utf8', env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(node, args, options);
  assert.is(status, 0, `${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

test('a new kernel works after the five steps', () => {
  for (const name of ['kernels', 'engine', 'mae', 'bench', 'test', 'tools', 'package.json', 'tsconfig.json'])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const page = readFileSync(join(root, 'kernels', 'README.md'), 'utf8');
  const steps = page.slice(page.indexOf('## Add a kernel in five steps'));
  const [wgsl, reference, spec, room, sizes] = [...steps.matchAll(/```(?:wgsl|ts)\n([\s\S]*?)```/g)].map(([, b]) => b);

  const file = (path: string, text: string): void => writeFileSync(join(copy, path), text);
  const insert = (path: string, before: string, text: string): void => {
    const whole = readFileSync(join(copy, path), 'utf8');
    assert.ok(whole.includes(before), `${path} has no ${before}`);
    file(path, whole.replace(before, text + before));
  };
  mkdirSync(join(copy, 'kernels', 'rmsnorm'));
  file('kernels/rmsnorm/rmsnorm.forward.wgsl', wgsl);
  assert.match(run(['tools/generate.mjs']), /wrote kernels\/rmsnorm\/rmsnorm\.forward\.d\.wgsl\.ts/);
  file('kernels/rmsnorm/rmsnorm.ref.ts', reference);
  file('kernels/rmsnorm/rmsnorm.ts', spec);
  insert('kernels/rooms.ts', "export * from './sgd/sgd.ts';\n", room);
  insert('bench/problems.ts', "  'sgd.update'", sizes);

  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  assert.is(run([tsc, '--noEmit', '-p', 'tsconfig.json']), '');
  const register = ['--import', './tools/register.mjs'];
  const tested = run([...register, 'test/kernels.test.ts'], { KERNEL: 'rmsnorm' });
  assert.match(tested, /Passed: {4}2/);
  assert.match(run([...register, 'test/fast/reflect.test.ts']), /Passed: {4}2/);
  // And the test sees it when the text is wrong.
  file('kernels/rmsnorm/rmsnorm.forward.wgsl', wgsl.replace('* scale;', '* scale * 1.01;'));
  const options = { cwd: copy, encoding: 'utf8', env: { ...process.env, KERNEL: 'rmsnorm' } } as const;
  const { status, stdout } = spawnSync(node, [...register, 'test/kernels.test.ts'], options);
  assert.is.not(status, 0);
  assert.match(stdout, /rmsnorm\.forward: y\[\d+\] is .*, the reference says/);
});

test.run();
