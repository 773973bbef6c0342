// Node hooks: `.wgsl` files become modules (TypeScript itself is tsx's work), and `tesserae` is found from everywhere.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { installed } from './cache.mjs';
import { asModule } from './wgsl.mjs';

/**
 * Programs outside of this package may import it by name, as `tesserae run` promises; one that they installed goes first. In a clone
 * that is the sources. Their TypeScript is taken for a module even where no package.json says so.
 */
export async function resolve(specifier, context, next) {
  const named = /^tesserae(\/|$)/.test(specifier);
  const conditions = named && !installed ? [...context.conditions, 'tesserae-source'] : context.conditions;
  const found = await next(specifier, { ...context, conditions }).catch((error) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND' || !named) throw error;
    return next(specifier, { ...context, conditions, parentURL: import.meta.url });
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
