// Where a peer's packages lie, as its process is told.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.env.TESSERAE_PEER_PACKAGES ?? '';

/** `require` as from a program inside the folder of packages. */
export const requirePeer = createRequire(join(folder, 'index.js'));

/** Imports an ES module package by the entry that its manifest names. */
export const importPeer = (name: string): Promise<Record<string, never>> =>
  import(pathToFileURL(join(folder, 'node_modules', name, manifest(name).module)).href);

export const version = (name: string): string => manifest(name).version;

function manifest(name: string): { version: string; module: string } {
  const path = join(folder, 'node_modules', name, 'package.json');
  if (!existsSync(path)) throw new Error(`${name} is not in ${folder}`);
  return JSON.parse(readFileSync(path, 'utf8'));
}
