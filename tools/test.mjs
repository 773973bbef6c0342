#!/usr/bin/env node
// `npm test`: set-up, then every test/**/*.test.ts as a process of its own. Files under test/fast/ need no GPU and run first,
// two at a time; the others run one after another, because a software GPU uses all cores. The last line says
// `N passed, N failed`.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toolOptions } from './argv.mjs';
import { root } from './cache.mjs';
import { run } from './child.mjs';
import { ensureChromium } from './chromium.mjs';
import { launchEnvironment, pristine } from './environment.mjs';
import { commandLine } from './launch.mjs';
import { prepare } from './prepare.mjs';
import { Problem, main, seconds } from './say.mjs';
import { verdict } from './uvu.mjs';

const HELP = `npm test -- [--only PATTERN] [--adapter NAME] [--timeout SECONDS] [--with-check]

  --only PATTERN   only files whose path contains PATTERN (several: a comma between them)
  --adapter NAME   as in npm run setup
  --timeout N      seconds that one file may take (default 300)
  --with-check     npm run check first, counted as one test

Tests in a browser take the Chromium or Chrome that is there, else Debian's, which is downloaded once (120 MB, no root needed).
TESSERAE_CHROMIUM names another; \`none\` skips them.
`;
const FAST_WORKERS = 2;

/** All test files, as paths from the clone's root. */
function testFiles(only = '') {
  const patterns = only.split(',').filter(Boolean);
  return readdirSync(join(root, 'test'), { recursive: true })
    .map((path) => `test/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => !patterns.length || patterns.some((pattern) => path.includes(pattern)))
    .sort();
}

const totals = { passed: 0, failed: 0, skipped: 0 };

function report(name, { passed, failed, skipped, why }, began, output) {
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  const counts = `${passed} passed${skipped ? `, ${skipped} skipped` : ''}`;
  const line = `${failed ? 'FAIL' : 'ok  '}  ${name}  ${why || counts}  (${seconds(began)})\n`;
  process.stdout.write(failed ? `${line}${output.replace(/\s*$/, '\n')}${line}` : line);
}

async function runFile(path, choice, limit) {
  const began = performance.now();
  const [program, args] = commandLine(path, [], choice);
  // Tests read what programs print: without colours, whatever CI and FORCE_COLOR say.
  const { FORCE_COLOR: _, ...user } = pristine();
  const plain = { ...user, NO_COLOR: '1' };
  const env = choice ? launchEnvironment(choice, plain) : plain;
  const end = await run(program, args, { env, cwd: root, timeout: limit * 1000 });
  report(path, verdict(end, limit), began, end.all);
}

async function runAll(paths, choice, limit, workers) {
  const queue = [...paths];
  const worker = async () => {
    for (let path = queue.shift(); path; path = queue.shift()) await runFile(path, choice, limit);
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

async function check() {
  const began = performance.now();
  const end = await run(process.execPath, [join(root, 'tools', 'check.mjs')], { cwd: root });
  const good = end.code === 0;
  report(
    'npm run check',
    { passed: Number(good), failed: Number(!good), skipped: 0, why: good ? '' : 'failed' },
    began,
    end.all,
  );
}

/** Null once the help is printed. */
function options() {
  const given = toolOptions('test', HELP, ['--only PATTERN', '--adapter NAME', '--timeout SECONDS', '--with-check']);
  if (!given) return null;
  const { '--only': only, '--adapter': adapter, '--timeout': timeout = 300, '--with-check': withCheck } = given;
  const limit = Number(timeout);
  if (!(limit > 0)) throw new Problem(`--timeout must be a number of seconds above 0, got ${timeout}`, 2);
  return { only, adapter, limit, withCheck };
}

/** Fetches a browser before the files that open pages or run on its SwiftShader, so that none waits for it; without one they skip. */
async function prepareChromium(files) {
  if (!files.some((path) => /support\/(chromium|on-adapter)\.ts/.test(readFileSync(join(root, path), 'utf8')))) return;
  try {
    const found = await ensureChromium();
    process.stdout.write(
      found ? `browser: ${found.version}\n` : 'skip  tests in a browser: TESSERAE_CHROMIUM is none\n',
    );
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    process.stdout.write(`skip  tests in a browser: ${error.message}\n`);
    process.env.TESSERAE_CHROMIUM = 'none';
  }
}

async function testAll({ only, adapter, limit, withCheck }) {
  const choice = await prepare({ adapter });
  process.stdout.write(`adapter: ${choice.label}\n`);
  if (withCheck) await check();
  const files = testFiles(only);
  await prepareChromium(files);
  const fast = files.filter((path) => path.startsWith('test/fast/'));
  await runAll(fast, null, limit, FAST_WORKERS);
  await runAll(
    files.filter((path) => !fast.includes(path)),
    choice,
    limit,
    1,
  );
  if (!files.length) throw new Problem(only ? `no test file's path contains ${only}` : 'there are no test files');
}

main(async () => {
  const chosen = options();
  if (!chosen) return 0;
  const began = performance.now();
  try {
    await testAll(chosen);
  } catch (error) {
    // Whatever ends a run counts as a failure of it, so that the last line never claims less.
    totals.failed += 1;
    process.stdout.write(`FAIL  ${error instanceof Problem ? error.message : error.stack}\n`);
  }
  process.stdout.write(`\n${seconds(began)} in all${totals.skipped ? `, ${totals.skipped} skipped` : ''}\n`);
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
  return totals.failed ? 1 : 0;
});
