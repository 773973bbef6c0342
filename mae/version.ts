// Which Tesserae this is.
import { readFileSync } from 'node:fs';

/** Of package.json. */
export const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
