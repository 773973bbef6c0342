// An esbuild plugin: `.wgsl` imports become modules, reflected while bundling, so that no parser goes into a bundle.
import { readFile } from 'node:fs/promises';
import { asModule } from './wgsl.mjs';

export const wgsl = {
  name: 'wgsl',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.wgsl$/ }, async ({ path }) => ({
      contents: asModule(await readFile(path, 'utf8'), path),
      loader: 'js',
    })),
};
