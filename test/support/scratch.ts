// A folder for the files of a test, with a cache of its own, and what tests of data ask of it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Dataset } from '../../mae/data/dataset.ts';

export class Scratch {
  root = '';

  /** Before each test. */
  readonly make = (): void => {
    this.root = mkdtempSync(join(tmpdir(), 'tesserae-formats-'));
    process.env.TESSERAE_CACHE = join(this.root, 'cache');
  };

  /** After each test. */
  readonly remove = (): void => rmSync(this.root, { recursive: true, force: true });

  /** Writes a file. @returns its path */
  put(name: string, bytes: Uint8Array | string): string {
    const path = join(this.root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    return path;
  }
}

/** Of every sample, as it is read and as it is known without reading. */
export async function labelsOf(set: Dataset | null): Promise<number[] | null> {
  if (!set) return null;
  const all = Array.from({ length: set.length }, (_, i) => i);
  const read = await Promise.all(all.map(async (i) => (await set.read(i)).label));
  if (set.label) assert.equal(all.map(set.label), read);
  return read;
}
