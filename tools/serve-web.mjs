#!/usr/bin/env node
// `npm run web`: builds the page and serves it on this machine alone.
import { context } from 'esbuild';
import { join } from 'node:path';
import { toolOptions } from './argv.mjs';
import { buildWeb } from './build-web.mjs';
import { root } from './cache.mjs';
import { Problem, main } from './say.mjs';

const HELP = `npm run web -- [--port N]

Builds the page into dist/web and serves it on 127.0.0.1. Ctrl-C ends it.

  --port N      the port (default 8000, or the next one that is free)
`;
const FIRST = 8000;

main(async () => {
  const given = toolOptions('web', HELP, ['--port N']);
  if (!given) return;
  const value = given['--port'];
  const wanted = value === undefined ? undefined : Number(value);
  if (wanted !== undefined && !(Number.isInteger(wanted) && wanted > 0 && wanted < 65_536))
    throw new Problem(`--port must be a number from 1 to 65535, got ${value}`, 2);
  // A port that is taken is told before anything is written: another server may be showing what is in dist/web.
  const { server, port } = await serve(wanted);
  try {
    process.stdout.write(`${await buildWeb()}\n`);
  } catch (error) {
    await server.dispose();
    throw error;
  }
  process.stdout.write(`http://127.0.0.1:${port}/   (Ctrl-C ends it)\n`);
});

async function serve(wanted) {
  const server = await context({});
  const options = { servedir: join(root, 'dist', 'web'), host: '127.0.0.1' };
  const ports = wanted ? [wanted] : Array.from({ length: 20 }, (_, i) => FIRST + i);
  for (const port of ports) {
    const served = await server.serve({ ...options, port }).catch(() => null);
    if (served) return { server, port: served.port };
  }
  await server.dispose();
  throw new Problem(
    wanted
      ? `port ${wanted} is taken: give another to --port`
      : `ports ${FIRST} to ${ports.at(-1)} are taken: give --port`,
  );
}
