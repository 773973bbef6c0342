#!/usr/bin/env node
// `npm run check`: everything about the source that needs no GPU. One line for each check; a failing one lists file:line.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { toolOptions } from './argv.mjs';
import { hostNode, root } from './cache.mjs';
import { checkBrowser, checkImports, checkSize, checkWords } from './check-rules.mjs';
import { run } from './child.mjs';
import { ensurePackages } from './packages.mjs';
import { main, seconds } from './say.mjs';

const HELP = `npm run check

Holds the sources to types, style, import directions, sizes and generated files: a line for each check, and where one fails file:line.
`;
const ROOMS = ['kernels', 'engine', 'mae', 'bench', 'test', 'tools'];

/** The sources of all rooms: `{ path, text }`, paths from the root with forward slashes. */
function sources() {
  return ROOMS.filter((room) => existsSync(join(root, room))).flatMap((room) =>
    readdirSync(join(root, room), { recursive: true })
      .map((path) => `${room}/${path.replaceAll('\\', '/')}`)
      .filter((path) => /\.(ts|mjs|wgsl)$/.test(path))
      .sort()
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  );
}

/** Runs a package's own program with this Node. */
async function program(name, bin, args) {
  const folder = join(root, 'node_modules', name);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[bin];
  return run(hostNode(), [join(folder, file), ...args], { cwd: root });
}

function findings({ code, all }) {
  if (code === 0) return [];
  return all.trim() ? all.trim().split('\n') : [`ended with exit code ${code}`];
}

/** The page is checked with the types of a browser's page, the rest without: it runs in Node and in workers. */
const types = async () => {
  const ends = ['tsconfig.json', 'mae/web/tsconfig.json'].map((config) =>
    program('typescript', 'tsc', ['--noEmit', '--pretty', 'false', '-p', config]),
  );
  return (await Promise.all(ends)).flatMap(findings);
};

/** Biome's reports for GitHub have one line each; they become `path:line  rule: message`. */
async function lint() {
  const level = ['--diagnostic-level=warn', '--error-on-warnings', '--max-diagnostics=none', '--reporter=github'];
  const end = await program('@biomejs/biome', 'biome', ['check', ...level]);
  const pattern = /^::\w+ title=([^,]*),file=([^,]*),line=(\d+),.*?::(.*)$/;
  const found = end.out.split('\n').flatMap((text) => {
    const [, rule, path, line, message] = pattern.exec(text) ?? [];
    if (!rule) return [];
    const where = relative(root, path);
    if (rule === 'format') return [`${where}  is not formatted: npx biome format --write ${where}`];
    return [`${where}:${line}  ${rule}: ${message}`];
  });
  return found.length || end.code === 0 ? found : findings(end);
}

async function checks() {
  const files = sources();
  const scripts = files.filter(({ path }) => !path.endsWith('.wgsl'));
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  // Optional packages are peers: loaded where they are needed, with word of what to install.
  const dependencies = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
  const generate = join(root, 'tools', 'generate.mjs');
  return [
    ['types', types],
    ['lint and format', lint],
    ['import directions', () => scripts.flatMap((file) => checkImports(file, dependencies))],
    ['files for browsers', () => checkBrowser(scripts)],
    ['generated files', async () => findings(await run(hostNode(), [generate, '--check'], { cwd: root }))],
    ['sizes', () => files.flatMap(checkSize)],
    ['unfinished work', () => files.flatMap(checkWords)],
  ];
}

main(async () => {
  if (!toolOptions('check', HELP)) return 0;
  await ensurePackages();
  let failed = 0;
  for (const [name, check] of await checks()) {
    const began = performance.now();
    const found = await check();
    failed += found.length ? 1 : 0;
    process.stdout.write(`${found.length ? 'FAIL' : 'ok  '}  ${name}  (${seconds(began)})\n`);
    for (const line of found) process.stdout.write(`      ${line}\n`);
  }
  return failed ? 1 : 0;
});
