// Pages of mae/web as the commands need them: built with the package, and in a clone made of the sources when they are asked for.
import { readFile } from 'node:fs/promises';
import { fileOf, INSTALLED } from './root.ts';

/** What a page of mae/web is made of. */
export interface Bundle {
  readonly script: string;
  readonly style: string;
}

/** @param name dashboard or report @throws where a clone lacks what bundles, which npm install brings */
export async function bundleOf(name: 'dashboard' | 'report'): Promise<Bundle> {
  if (!INSTALLED) {
    // In the tools, which no room of the package may name.
    const { pageBundle } = await import(fileOf('tools/bundle-pages.mjs').href);
    return pageBundle(name);
  }
  const [script, style] = await Promise.all(
    ['js', 'css'].map((kind) => readFile(fileOf(`dist/lib/mae/web/${name}.${kind}`), 'utf8')),
  );
  return { script, style };
}
