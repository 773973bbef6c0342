// `tesserae run FILE.ts`: a program of your own in the environment that the other commands run in.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { TesseraeError } from '../../engine/errors.ts';
import { misuse } from '../usage.ts';
import { examples } from './command.ts';

export function define(command: Command): void {
  command
    .argument('<file>', 'a TypeScript or JavaScript module')
    .argument('[args...]', 'what it finds in process.argv')
    .allowUnknownOption()
    .addHelpText('after', examples(['tesserae run mae/examples/trainer.ts', 'a training loop in thirty lines']))
    .action(async (file: string, args: string[]) => {
      const path = resolve(file);
      const found = await stat(path).catch(() => misuse(`run: there is no file ${file}`));
      if (found.isDirectory() || !/\.[cm]?[jt]s$/i.test(path))
        misuse(
          `run: ${file} is ${found.isDirectory() ? 'a folder' : 'no program'}: name a .ts, .mts, .js or .mjs file`,
        );
      process.argv.splice(1, process.argv.length, path, ...args);
      await import(pathToFileURL(path).href).catch((error: unknown) => {
        // Its author wants to know where; the engine's own messages say enough.
        if (error instanceof Error && !(error instanceof TesseraeError)) process.stderr.write(`${error.stack}\n`);
        throw error;
      });
    });
}
