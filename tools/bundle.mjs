#!/usr/bin/env node
// `npm run bundle:gpu`: `tesserae bench gpu` as one file that needs Node and the webgpu package beside it, nothing else.
import { build } from 'esbuild';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { toolOptions } from './argv.mjs';
import { root } from './cache.mjs';
import { wgsl } from './esbuild-wgsl.mjs';
import { Problem, main } from './say.mjs';

const HELP = `npm run bundle:gpu -- [--out FILE] [--pack DIR] [--golden DIR]

  --out FILE     where the bundle goes (default dist/tesserae-gpu.mjs)
  --pack DIR     also lay out a folder that runs on another machine of this system: the bundle and the webgpu package
  --golden DIR   conformance cases to put into that folder, as golden/
`;
/** What a machine is sent at most. */
const MOST_BYTES = 64 * 2 ** 20;

/** The program: benches and tests import each other nowhere in the clone, so here is where they meet. */
const entry = (version, torchScripts) => `
import { Command } from 'commander';
import * as bench from './bench/gpu/bench.ts';
import { addGpu } from './mae/cli/benchgpu.ts';
import { UsageError } from './mae/usage.ts';
import * as harness from './test/support/kernel-run.ts';
const command = new Command('tesserae-gpu')
  .option('--adapter <NAME>', "part of an adapter's name")
  .option('--profile <NAME>', 'cpu, simt or matrix alone')
  .option('--untuned', 'kernels with their own choice of settings, not with those that ship');
addGpu(command, {
  // Of another machine's settings it knows only those that ship; where this variable names a folder, what was measured there.
  cache: Boolean(process.env.TESSERAE_CACHE),
  bench: async () => bench,
  harness: async () => harness,
  torchScripts: async () => (${JSON.stringify(torchScripts)}),
  version: async () => ${JSON.stringify(version)},
});
let code = 0;
try {
  await command.parseAsync();
  code = process.exitCode ?? 0;
} catch (error) {
  process.stderr.write('tesserae-gpu: ' + error.message + '\\n');
  if (process.env.TESSERAE_DEBUG) process.stderr.write(error.stack + '\\n');
  code = error instanceof UsageError ? 2 : 1;
}
// Dawn would keep Node alive.
process.stdout.write('', () => process.exit(code));
`;

/** @returns bytes of the bundle */
async function bundle(outfile) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const folder = join(root, 'bench', 'gpu');
  const python = readdirSync(folder).filter((name) => name.endsWith('.py'));
  const torchScripts = Object.fromEntries(python.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  const { errors } = await build({
    stdin: { contents: entry(version, torchScripts), resolveDir: root, sourcefile: 'tesserae-gpu.mjs' },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['webgpu'],
    plugins: [wgsl],
    // Packages written as CommonJS require Node's own modules.
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    logLevel: 'silent',
  }).catch((error) => ({ errors: error.errors ?? [{ text: error.message }] }));
  if (errors.length)
    throw new Problem(
      `cannot bundle: ${errors.map(({ text, location }) => `${location?.file ?? ''} ${text}`).join('; ')}`,
    );
  return statSync(outfile).size;
}

const sizeOf = (path) =>
  statSync(path).isDirectory()
    ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
    : statSync(path).size;

/** The bundle, Dawn for this system, and conformance cases. @returns bytes of it all */
function pack(file, folder, golden) {
  if (
    existsSync(folder) &&
    readdirSync(folder).some((name) => !['tesserae-gpu.mjs', 'node_modules', 'golden'].includes(name))
  )
    throw new Problem(`${folder} holds other files: give a folder that is empty or new`, 2);
  rmSync(folder, { recursive: true, force: true });
  const dawn = join('node_modules', 'webgpu');
  const built = join(dawn, 'dist', `${process.platform}-${process.platform === 'darwin' ? 'universal' : process.arch}`);
  mkdirSync(join(folder, built), { recursive: true });
  for (const name of ['package.json', 'index.js', 'LICENSE']) {
    if (existsSync(join(root, dawn, name))) cpSync(join(root, dawn, name), join(folder, dawn, name));
  }
  cpSync(join(root, built), join(folder, built), { recursive: true });
  cpSync(file, join(folder, 'tesserae-gpu.mjs'));
  if (golden) {
    mkdirSync(join(folder, 'golden'));
    for (const name of readdirSync(golden).filter((n) => n.endsWith('.safetensors')))
      cpSync(join(golden, name), join(folder, 'golden', name));
  }
  const bytes = sizeOf(folder);
  if (bytes > MOST_BYTES)
    throw new Problem(
      `${folder} takes ${mega(bytes)} MB, ${mega(MOST_BYTES)} are allowed: give fewer cases to --golden`,
    );
  return bytes;
}

const mega = (bytes) => (bytes / 1e6).toFixed(1);

main(async () => {
  const given = toolOptions('bundle:gpu', HELP, ['--out FILE', '--pack DIR', '--golden DIR']);
  if (!given) return;
  const { '--out': out, '--pack': folder, '--golden': golden } = given;
  if (golden && !folder) throw new Problem('--golden needs --pack DIR, the folder that the cases go into', 2);
  if (golden && !existsSync(golden)) throw new Problem(`--golden ${golden}: there is no such folder`, 2);
  const file = resolve(out ?? join(root, 'dist', 'tesserae-gpu.mjs'));
  mkdirSync(dirname(file), { recursive: true });
  process.stdout.write(`${file}  ${mega(await bundle(file))} MB\n`);
  if (folder) process.stdout.write(`${resolve(folder)}  ${mega(pack(file, resolve(folder), golden))} MB\n`);
  return 0;
});
