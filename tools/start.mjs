#!/usr/bin/env node
// `npm start`: set-up, then the main job (`tesserae quickstart`); further arguments go to it.
import { takeOption } from './argv.mjs';
import { launch } from './launch.mjs';
import { prepare } from './prepare.mjs';
import { Problem, main } from './say.mjs';

main(async () => {
  const argv = process.argv.slice(2);
  const { value: adapter } = takeOption(argv, '--adapter');
  if (adapter === '') throw new Problem('--adapter needs a name', 2);
  return launch(['quickstart', ...argv], { adapter: await prepare({ adapter }) });
});
