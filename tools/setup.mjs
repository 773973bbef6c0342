#!/usr/bin/env node
// `npm run setup`: packages, then an adapter. Quick when both are there.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { toolOptions } from './argv.mjs';
import { cacheDir, installed, readJson, root } from './cache.mjs';
import { prepare } from './prepare.mjs';
import { main, seconds } from './say.mjs';

const HELP = `${installed ? 'npx tesserae-setup' : 'npm run setup --'} [--adapter NAME] [--again]

Installs the npm packages when they are missing or stale, and finds a WebGPU adapter: a real GPU first; where there is
none, on Debian, a software one is downloaded (no root needed, 70 MB; 340 MB in the cache).

  --adapter NAME   auto (default), system, software, lavapipe, swiftshader, or a part of an adapter's name
  --again          choose the adapter anew, even if one was chosen before

TESSERAE_CACHE names the folder for downloads, now ${cacheDir()}
TESSERAE_ADAPTER sets the default of --adapter
`;

const home = (path) => (path.startsWith(`${homedir()}/`) ? `~${path.slice(homedir().length)}` : path);

main(async () => {
  const given = toolOptions('setup', HELP, ['--adapter NAME', '--again']);
  if (!given) return;
  const began = performance.now();
  const choice = await prepare({ adapter: given['--adapter'], again: given['--again'] });
  const packages = Object.keys(readJson(join(root, 'node_modules', '.package-lock.json'))?.packages ?? {});
  process.stdout.write(`
Tesserae is set up (${seconds(began)}).
  adapter   ${choice.label}
${installed ? '' : `  packages  ${packages.length} in ${home(join(root, 'node_modules'))}\n`}  cache     ${home(cacheDir())}

Next: ${installed ? 'npx tesserae quickstart' : 'npm start              '} pretrain a small MAE on CIFAR-10 and look at what it learned
      npx tesserae doctor     the adapter's features and a self-check of the kernels
      npx tesserae --help
`);
});
