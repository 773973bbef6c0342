#!/usr/bin/env node
// The `tesserae` command: chooses the adapter, then runs mae/cli/main.ts in its environment.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseAdapter } from './adapter.mjs';
import { asksForHelp, needsDevice, takeOption } from './argv.mjs';
import { root } from './cache.mjs';
import { launch } from './launch.mjs';
import { packagesStale, requireNode } from './packages.mjs';
import { Problem, main } from './say.mjs';

main(async () => {
  const argv = process.argv.slice(2);
  if (['--version', '-V'].includes(argv[0])) {
    process.stdout.write(`${JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version}\n`);
    return 0;
  }
  requireNode();
  const stale = packagesStale();
  if (stale) throw new Problem(`not set up yet (${stale}): run npm run setup in ${root}`);
  if (asksForHelp(argv) || !needsDevice(argv)) return launch(argv);
  // The option stays in argv: the command line lists it among its own.
  const { value: name } = takeOption(argv, '--adapter');
  if (name === '') throw new Problem('--adapter needs a name', 2);
  return launch(argv, { adapter: await chooseAdapter({ name, quiet: true }) });
});
