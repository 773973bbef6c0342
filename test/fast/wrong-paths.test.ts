// A path that is wrong, in every command that takes one: a line that names it, says why, and what to do; never the system's own message.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { explain } from '../../mae/cli/explain.ts';
import { run } from '../../mae/cli/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'tesserae-paths-'));
test.after(() => rmSync(folder, { recursive: true }));
const image = join(folder, 'a.png');
const file = join(folder, 'file');
writeFileSync(file, '{"epoch":0}\n');

const NOTHING = join(folder, 'nothing');
/** Below a file there is no folder. */
const BELOW = join(file, 'below');
const COMMANDS: Record<string, (path: string) => string[]> = {
  'pretrain --config': (path) => ['pretrain', '--config', path],
  'finetune --config': (path) => ['finetune', '--config', path],
  'plan --config': (path) => ['plan', '--config', path],
  data: (path) => ['data', path],
  report: (path) => ['report', path],
  dashboard: (path) => ['dashboard', path],
  compare: (path) => ['compare', path, path],
  convert: (path) => ['convert', path],
  onnx: (path) => ['onnx', path, join(folder, 'out.onnx')],
  reconstruct: (path) => ['reconstruct', path, image],
  attention: (path) => ['attention', path, image],
  classify: (path) => ['classify', path, image],
  study: (path) => ['study', path],
  conformance: (path) => ['conformance', path],
  run: (path) => ['run', path],
  'bench compare': (path) => ['bench', 'compare', path, path],
  'bench gpu --golden': (path) => ['bench', 'gpu', '--golden', path],
  'bench step --json': (path) => ['bench', 'step', '--json', join(path, 'x.json')],
  '--trace': (path) => ['--trace', join(path, 'x.json'), 'report', folder],
};

for (const [name, args] of Object.entries(COMMANDS)) {
  test(name, async () => {
    for (const path of [NOTHING, BELOW]) {
      const { line, code } = await run(args(path)).then(
        () => ({ line: 'no error', code: 0 }),
        (error: unknown) => explain(error),
      );
      assert.ok(code === 1 || code === 2, line);
      assert.ok(line.includes(path), line);
      assert.match(line, /^tesserae: [^\n]+$/);
      assert.not.match(line, /unexpected|\bE[A-Z]{4,}: |, (open|stat|lstat|mkdir|scandir|access) '/);
    }
  });
}

test('what the system refuses where nobody expected it is told in words, too', async () => {
  const error: unknown = await readFile(NOTHING).catch((e: unknown) => e);
  assert.equal(explain(error), {
    line: `tesserae: open: ${NOTHING}: No such file or directory: check the path`,
    code: 1,
  });
});

test.run();
