// Tables of picks in a browser: an IndexedDB database, a record for every adapter. loadPicks (picks.ts) says how to use it.
import { fail } from './errors.ts';
import { asTable, type PickStore, type PickTable } from './picks.ts';

const TABLES = 'tables';

/** What is used of IndexedDB; the engine is compiled without the types of a page. */
type Handler = ((this: never, event: never) => unknown) | null;
export interface Asked<T = unknown> {
  readonly result: T;
  readonly error: unknown;
  onsuccess: Handler;
  onerror: Handler;
}
export interface Tables {
  get(key: string): Asked;
  getAll(): Asked;
  put(value: unknown, key: string): Asked;
  clear(): Asked;
}
export interface Transaction {
  readonly error: unknown;
  oncomplete: Handler;
  onerror: Handler;
  onabort: Handler;
  objectStore(name: string): Tables;
}
export interface Database {
  createObjectStore(name: string): unknown;
  transaction(name: string, mode: 'readonly' | 'readwrite'): Transaction;
  close(): void;
}
export interface DatabaseFactory {
  open(name: string, version: number): Asked<Database> & { onupgradeneeded: Handler };
}

/** Keeps measured settings in IndexedDB, for pages. */
export class PickDatabase implements PickStore {
  readonly #factory: DatabaseFactory;
  readonly #name: string;

  constructor(factory?: DatabaseFactory, name = 'tesserae picks') {
    const own = (globalThis as { indexedDB?: DatabaseFactory }).indexedDB;
    this.#factory = factory ?? own ?? fail('picks: there is no IndexedDB here; keep tables otherwise');
    this.#name = name;
  }

  async read(adapter: string): Promise<PickTable | null> {
    const found = await this.#ask<unknown>('readonly', (tables) => tables.get(adapter));
    if (found === undefined) return null;
    return asTable(found) ?? fail(`picks: the record of ${adapter} in the database ${this.#name} is damaged: clear it`);
  }

  async write(table: PickTable): Promise<void> {
    await this.#ask('readwrite', (tables) => tables.put(table, table.adapter));
  }

  async list(): Promise<PickTable[]> {
    const all = await this.#ask<unknown[]>('readonly', (tables) => tables.getAll());
    return all.map(asTable).filter((table) => table !== null);
  }

  async clear(): Promise<void> {
    await this.#ask('readwrite', (tables) => tables.clear());
  }

  /** One request in a transaction of its own; what is written is there when it settles. */
  async #ask<T>(mode: 'readonly' | 'readwrite', request: (tables: Tables) => Asked): Promise<T> {
    const opening = this.#factory.open(this.#name, 1);
    opening.onupgradeneeded = () => void opening.result.createObjectStore(TABLES);
    const database = await settled(opening);
    try {
      const transaction = database.transaction(TABLES, mode);
      const asked = request(transaction.objectStore(TABLES));
      await new Promise<void>((resolve, reject) => {
        transaction.oncomplete = () => resolve();
        transaction.onerror = transaction.onabort = () => reject(transaction.error ?? asked.error);
      });
      return asked.result as T;
    } finally {
      database.close();
    }
  }
}

const settled = <T>(request: Asked<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
