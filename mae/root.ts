// Where this package lies: a clone holds the sources, an installed package what `npm run build` made of them.
import { readFileSync } from 'node:fs';

const BUILT = 'dist/lib/';
const above = new URL('..', import.meta.url);

/** Whether this is an installed package and no clone. */
export const INSTALLED: boolean = above.pathname.endsWith(`/${BUILT}`);

/** A file of the package by its path from package.json. */
export const fileOf = (path: string): URL => new URL(path, INSTALLED ? new URL('../..', above) : above);

/** What `import` takes for a module of a room that mae may not name: `bench/step`, without its ending. */
export const moduleOf = (path: string): string => new URL(`${path}${INSTALLED ? '.js' : '.ts'}`, above).href;

/** The version in a package.json. */
export const versionIn = (file: string | URL): string => JSON.parse(readFileSync(file, 'utf8')).version;
