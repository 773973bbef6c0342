#!/usr/bin/env node
// `npm run bundle:browser`: the engine, the kernels and the model as files that a page loads with `import`.
import { build } from 'esbuild';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { toolOptions } from './argv.mjs';
import { root } from './cache.mjs';
import { wgsl, wgslCompact } from './esbuild-wgsl.mjs';
import { Problem, main } from './say.mjs';

const HELP = `npm run bundle:browser -- [--out DIR]

Writes ES modules for browsers, minified and each complete in itself (a page needs one of them):
  kernels.js    kernel texts with what is reflected of them: encode them on your own buffers
  engine.js     openDevice(navigator.gpu), Engine, ops, optimizers, safetensors
  tesserae.js   the engine and the masked autoencoder

In a page:
  import { configure, Engine, MaskedAutoencoder, openDevice } from './tesserae.js';
  const engine = new Engine(await openDevice(navigator.gpu));
  const model = new MaskedAutoencoder(engine, configure('mae_vit_nano_patch4_32'), 0);

  --out DIR     where they go (default dist/browser)
`;

/** Entries by the name of their file. */
export const ENTRIES = {
  kernels: ['kernels/index.ts'],
  engine: ['engine/index.ts'],
  tesserae: ['engine/index.ts', 'mae/browser.ts'],
};

const exporting = (paths) => paths.map((path) => `export * from ${JSON.stringify(join(root, path))};\n`).join('');

/**
 * One ES module for browsers. What names a module of Node fails: there is none in a browser.
 * @param contents its source  @param minify without names and blanks
 * @returns {Promise<{ bytes: Uint8Array, inputs: string[] }>} and the files that went into it, from the clone's root
 * @throws Problem that says what cannot be bundled
 */
export async function bundleForBrowser(contents, { minify = false } = {}) {
  try {
    const { outputFiles, metafile } = await build({
      stdin: { contents, resolveDir: root, sourcefile: 'entry.js' },
      absWorkingDir: root,
      bundle: true,
      write: false,
      minify,
      metafile: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2022',
      plugins: [minify ? wgslCompact : wgsl],
      // Optional: a page that names repositories of the hub brings it, by an import map.
      external: ['@huggingface/hub'],
      // unzipit looks whether it is in Node.
      define: { process: 'undefined' },
      logLevel: 'silent',
      // For a page's errors to name files and lines.
      sourcemap: minify ? false : 'inline',
    });
    return { bytes: outputFiles[0].contents, inputs: Object.keys(metafile.inputs) };
  } catch (error) {
    return refuse(error);
  }
}

/** The bundle that `name` of ENTRIES stands for, minified. */
export const bundleEntry = (name) => bundleForBrowser(exporting(ENTRIES[name]), { minify: true });

/**
 * Style sheets in one, with what they import. @param paths from the clone's root, in order  @returns {Promise<string>}
 * @throws Problem that says what cannot be bundled
 */
export async function bundleStyles(paths, { minify = false } = {}) {
  const contents = paths.map((path) => `@import ${JSON.stringify(join(root, path))};\n`).join('');
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root, sourcefile: 'entry.css', loader: 'css' },
    absWorkingDir: root,
    bundle: true,
    write: false,
    minify,
    // light-dark() stays as it is: what this would be made into looks at no data-theme.
    target: 'esnext',
    logLevel: 'silent',
  }).catch((error) => refuse(error));
  return outputFiles[0].text;
}

/** What esbuild found, in one line. */
function refuse({ errors, message }) {
  const all = errors?.length ? errors : [{ text: message }];
  const texts = all.map(({ text, location }) => `${location ? `${location.file}:${location.line} ` : ''}${text}`);
  throw new Problem(`cannot bundle for browsers: ${texts.join('; ')}`);
}

const kilo = (bytes) => (bytes / 1000).toFixed(1).padStart(8);

async function writeAll(folder) {
  mkdirSync(folder, { recursive: true });
  process.stdout.write(`${'kB'.padEnd(14)}${'raw'.padStart(8)}${'gzip'.padStart(8)}\n`);
  for (const name of Object.keys(ENTRIES)) {
    const { bytes } = await bundleEntry(name);
    writeFileSync(join(folder, `${name}.js`), bytes);
    process.stdout.write(
      `${`${name}.js`.padEnd(14)}${kilo(bytes.length)}${kilo(gzipSync(bytes, { level: 9 }).length)}\n`,
    );
  }
  process.stdout.write(`in ${folder}\n`);
}

if (import.meta.filename === resolve(process.argv[1] ?? ''))
  main(async () => {
    const given = toolOptions('bundle:browser', HELP, ['--out DIR']);
    if (given) await writeAll(resolve(given['--out'] ?? join(root, 'dist', 'browser')));
  });
