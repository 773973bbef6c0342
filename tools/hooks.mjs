// Node load hook: `.wgsl` files become modules (TypeScript itself is tsx's work).
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { asModule } from './wgsl.mjs';

export async function load(url, context, next) {
  if (!url.endsWith('.wgsl')) return next(url, context);
  const path = fileURLToPath(url);
  return { format: 'module', shortCircuit: true, source: asModule(await readFile(path, 'utf8'), path) };
}
