#!/usr/bin/env node
// `npm run build`, and before `npm pack`: dist/lib holds the same files as JavaScript with declarations, kernels as modules with what
// is reflected from them, so that any bundler and plain Node can import them, and the
// reference of what every entry exports (api.md), and the pages that commands serve and write.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeApi } from './api.mjs';
import { toolOptions } from './argv.mjs';
import { writePages } from './bundle-pages.mjs';
import { hostNode, root } from './cache.mjs';
import { run } from './child.mjs';
import { main, Problem, seconds } from './say.mjs';
import { asModule, asTypes } from './wgsl.mjs';

const HELP = `npm run build

Writes dist/lib, what npm pack puts into the package: JavaScript, declarations, kernels as modules, and the reference of all exports.
`;
const dist = join(root, 'dist', 'lib');
const ROOMS = ['kernels', 'engine', 'mae', 'bench'];

const filesIn = (room, pattern) =>
  readdirSync(join(root, room), { recursive: true })
    .map((path) => `${room}/${path.replaceAll('\\', '/')}`)
    .filter((path) => pattern.test(path));

/** Everything that TypeScript makes. */
async function compile() {
  const config = join(dist, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: {
        noEmit: false,
        declaration: true,
        rewriteRelativeImportExtensions: true,
        allowImportingTsExtensions: false,
        rootDir: '../..',
        outDir: '.',
      },
      include: ROOMS.map((room) => `../../${room}/**/*.ts`),
      exclude: [...ROOMS.map((room) => `../../${room}/examples`), '../../mae/web'],
    }),
  );
  const { code, all } = await run(hostNode(), [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], {
    cwd: root,
  });
  rmSync(config);
  if (code !== 0) throw new Problem(`cannot build: ${all.trim()}`);
}

/** JavaScript that is in the sources already, with declarations beside it. */
function copy() {
  for (const path of ROOMS.flatMap((room) => filesIn(room, /\.js$|\.d\.ts$/))) {
    mkdirSync(dirname(join(dist, path)), { recursive: true });
    copyFileSync(join(root, path), join(dist, path));
  }
}

/** Every kernel as a module, beside what imports it. */
function kernels() {
  for (const path of filesIn('kernels', /\.wgsl$/)) {
    const text = readFileSync(join(root, path), 'utf8');
    const up = '../'.repeat(path.split('/').length - 2) || './';
    const out = join(dist, path);
    mkdirSync(dirname(out), { recursive: true });
    writeFileSync(`${out}.js`, asModule(text, path));
    writeFileSync(`${out}.d.ts`, asTypes(text, path, `${up}kernel.js`).replace(/^.*\n/, ''));
  }
}

/** Imports of kernels name the modules that were made of them; those in declarations name JavaScript, as everywhere. */
function rename() {
  const made = readdirSync(dist, { recursive: true }).filter((path) => /\.(js|d\.ts)$/.test(path));
  for (const path of made) {
    const text = readFileSync(join(dist, path), 'utf8');
    const renamed = text
      .replace(/(from\s+|import\()(['"])(\.[^'"]*)\.wgsl\2/g, '$1$2$3.wgsl.js$2')
      .replace(/(from\s+|import\()(['"])(\.[^'"]*)\.ts\2/g, '$1$2$3.js$2');
    if (renamed !== text) writeFileSync(join(dist, path), renamed);
  }
  return made.length;
}

main(async () => {
  if (!toolOptions('build', HELP)) return 0;
  const began = performance.now();
  rmSync(dist, { recursive: true, force: true });
  mkdirSync(dist, { recursive: true });
  await compile();
  copy();
  kernels();
  const count = rename() + writeApi(dist).length + (await writePages(join(dist, 'mae', 'web')));
  process.stdout.write(`dist/lib  ${count} files  (${seconds(began)})\n`);
  return 0;
});
