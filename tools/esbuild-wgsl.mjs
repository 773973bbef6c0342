// An esbuild plugin: `.wgsl` imports become modules, reflected while bundling, so that no parser goes into a bundle.
import { readFile } from 'node:fs/promises';
import { asModule, compact } from './wgsl.mjs';

const plugin = (change) => ({
  name: 'wgsl',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.wgsl$/ }, async ({ path }) => ({
      contents: asModule(change(await readFile(path, 'utf8')), path),
      loader: 'js',
    })),
});

export const wgsl = plugin((text) => text);
/** The same without the kernels' comments. */
export const wgslCompact = plugin(compact);
