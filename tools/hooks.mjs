// Node hooks: `.wgsl` files become modules (TypeScript itself is tsx's work), and `tesserae` is found from everywhere.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { installed } from './cache.mjs';
import { asModule } from './wgsl.mjs';

/** In a clone, `tesserae/…` is its sources, whether or not something was built of them. */
const SOURCES = 'tesserae-source';
const here = new URL('..', import.meta.url).href;

/**
 * Programs outside of this package may import it by name, as `tesserae run` promises; one that they installed goes first. Their
 * TypeScript is taken for a module even where no package.json says so.
 */
export async function resolve(specifier, context, next) {
  const named = /^tesserae(\/|$)/.test(specifier);
  const own = { ...context, conditions: [...context.conditions, ...(installed ? [] : [SOURCES])] };
  const found = await next(specifier, named && context.parentURL?.startsWith(here) ? own : context).catch((error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || !named) throw error;
    return next(specifier, { ...own, parentURL: import.meta.url });
  });
  const loose =
    found.format === 'commonjs' && /^file:.*\.ts(\?|$)/.test(found.url) && !/\/node_modules\//.test(found.url);
  return loose ? { ...found, format: 'module' } : found;
}

export async function load(url, context, next) {
  if (!url.endsWith('.wgsl')) return next(url, context);
  const path = fileURLToPath(url);
  return { format: 'module', shortCircuit: true, source: asModule(await readFile(path, 'utf8'), path) };
}
