// Which Chromium is taken: the one that a variable names, else the first that starts.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const { findChromium } = await import(new URL('../../tools/chromium.mjs', import.meta.url).href);
const folder = mkdtempSync(join(tmpdir(), 'tesserae-chromium-'));
test.after(() => rmSync(folder, { recursive: true }));

function program(name: string, script: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

test('what a variable names, or none', async () => {
  const path = program('mine', 'echo Mine 1.2');
  const other = program('path/chromium', 'echo Chromium 1.2');
  const PATH = join(other, '..');
  assert.equal(await findChromium({ TESSERAE_CHROMIUM: path, PATH }), { path, version: 'Mine 1.2' });
  assert.equal(await findChromium({ CHROME_PATH: path, PATH }), { path, version: 'Mine 1.2' });
  assert.is(await findChromium({ TESSERAE_CHROMIUM: 'none', PATH }), null);
  for (const wrong of [join(folder, 'absent'), program('dead', 'exit 1')]) {
    const message = await findChromium({ TESSERAE_CHROMIUM: wrong, PATH }).catch((error: Error) => error.message);
    assert.is(message, `TESSERAE_CHROMIUM names ${wrong}, which does not start: give the path of a Chromium`);
  }
});

test('the first on the PATH that starts: a name may be an empty shell', async () => {
  const empty = join(program('one/chromium', 'exit 1'), '..');
  const path = program('two/google-chrome', 'echo Google Chrome 3.4');
  const found = await findChromium({ PATH: `${empty}:${join(path, '..')}`, PLAYWRIGHT_BROWSERS_PATH: folder });
  assert.equal(found, { path, version: 'Google Chrome 3.4' });
});

test.run();
