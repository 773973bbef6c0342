#!/usr/bin/env node
// `npm run build:web`: the page (mae/web) as a folder of files that any host serves as they are.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { toolOptions } from './argv.mjs';
import { bundleForBrowser, bundleStyles } from './bundle-browser.mjs';
import { root } from './cache.mjs';
import { Problem, main } from './say.mjs';

const HELP = `npm run build:web -- [--out DIR]

Writes the page as static files: copy the folder to any host that serves https://.

  --out DIR     where they go (default dist/web)
`;

const web = join(root, 'mae', 'web');
/** What is bundled, by the name of its file in the page: a source, and its function that is called (package.json says that none acts by itself). */
const SCRIPTS = {
  'page.js': ['page.ts', 'begin'],
  // The worker that trains.
  'train.js': ['train/worker.ts', 'begin'],
  // Before the first paint.
  'early.js': ['early.ts', 'begin'],
};
/** What is served as it lies in mae/web: files, and folders by the kinds of files in them. */
const FILES = ['index.html', 'icon.svg'];
const FOLDERS = { images: ['.webp'], weights: ['.safetensors'], samples: ['.png'] };

/** Every file of the page by its path in it. @returns {Promise<Map<string, Uint8Array>>} */
export async function webFiles() {
  const files = new Map(FILES.map((name) => [name, new Uint8Array(readFileSync(join(web, name)))]));
  for (const [folder, kinds] of Object.entries(FOLDERS)) {
    for (const name of readdirSync(join(web, folder)).filter((name) => kinds.includes(extname(name))))
      files.set(`${folder}/${name}`, new Uint8Array(readFileSync(join(web, folder, name))));
  }
  for (const [name, [source, begin]] of Object.entries(SCRIPTS)) {
    const entry = `import { ${begin} } from ${JSON.stringify(join(web, source))};\n${begin}();\n`;
    files.set(name, (await bundleForBrowser(entry, { minify: true })).bytes);
  }
  const style = await bundleStyles(['mae/web/page.css'], { minify: true });
  return files.set('page.css', new TextEncoder().encode(style));
}

const DEFAULT = join(root, 'dist', 'web');

/** A folder may hold an older page and whatever a host wants beside it; the page of another is not written over. */
function refuseStrangers(folder) {
  const index = join(folder, 'index.html');
  if (existsSync(index) && !readFileSync(index, 'utf8').includes('<title>Tesserae'))
    throw new Problem(`${index} is another page: give a folder that is empty or new to --out`, 2);
}

/** Writes the page into a folder. @returns {Promise<string>} the folder, and what loading it costs, for people */
export async function buildWeb(folder = DEFAULT) {
  refuseStrangers(folder);
  const files = await webFiles();
  if (folder === DEFAULT) rmSync(folder, { recursive: true, force: true });
  let sent = 0;
  for (const [path, bytes] of files) {
    const to = join(folder, path);
    mkdirSync(dirname(to), { recursive: true });
    writeFileSync(to, bytes);
    sent += gzipSync(bytes).length;
  }
  return `${folder}  ${files.size} files, ${(sent / 1e6).toFixed(2)} MB gzipped`;
}

if (import.meta.filename === resolve(process.argv[1] ?? ''))
  main(async () => {
    const given = toolOptions('build:web', HELP, ['--out DIR']);
    if (!given) return;
    process.stdout.write(`${await buildWeb(given['--out'] && resolve(given['--out']))}\n`);
  });
