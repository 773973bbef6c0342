// Tables of picks in a folder, a JSON file for every adapter.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checksum } from '../checksum.ts';
import { fail } from '../errors.ts';
import { asTable, type PickStore, type PickTable } from '../picks.ts';
import { fileError } from './file-errors.ts';
import { writeFileAtomic } from './files.ts';

const EXTENSION = '.picks.json';

/** Keeps measured settings in a folder, a file for every adapter. */
export class PickFolder implements PickStore {
  readonly #folder: string;

  /** Made when a table is first written. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(adapter: string): Promise<PickTable | null> {
    const table = await this.#load(this.#path(adapter));
    return table?.adapter === adapter ? table : null;
  }

  async write(table: PickTable): Promise<void> {
    await mkdir(this.#folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      throw fileError('picks cannot be kept', this.#folder, error);
    });
    await writeFileAtomic(this.#path(table.adapter), `${JSON.stringify(table, null, 1)}\n`);
  }

  async list(): Promise<PickTable[]> {
    const tables = await Promise.all((await this.#names()).map((name) => this.#load(join(this.#folder, name))));
    return tables.filter((table) => table !== null);
  }

  async clear(): Promise<void> {
    for (const name of await this.#names()) await rm(join(this.#folder, name), { force: true });
  }

  /** A name that can be read, and that no other adapter has. */
  #path(adapter: string): string {
    const readable = adapter.replace(/[^a-z0-9.]+/gi, '-').slice(0, 100);
    return join(this.#folder, `${readable}-${checksum(Buffer.from(adapter))}${EXTENSION}`);
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter((name) => name.endsWith(EXTENSION) && !name.startsWith('.')).sort();
  }

  async #load(path: string): Promise<PickTable | null> {
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw fileError('picks cannot be read', path, error);
    });
    if (text === null) return null;
    return asTable(json(text)) ?? fail(`picks: ${path} is damaged: delete it, or all with tesserae tune --clear`);
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
