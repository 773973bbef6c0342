// As much of IndexedDB as engine/pickdatabase.ts uses, by the rules that matter to it: everything answers later, stores exist
// from an upgrade on, values are cloned, a transaction completes when nothing is asked of it any more.
import type { Asked, Database, DatabaseFactory, Tables, Transaction } from '../../engine/pickdatabase.ts';

type Stores = Map<string, Map<string, unknown>>;

class Request<T> implements Asked<T> {
  result!: T;
  error: unknown = null;
  onsuccess: Asked['onsuccess'] = null;
  onerror: Asked['onerror'] = null;
  onupgradeneeded: Asked['onsuccess'] = null;
}

const call = (handler: Asked['onsuccess']): void => (handler as (() => void) | null)?.();

export class FakeIndexedDB implements DatabaseFactory {
  readonly #databases = new Map<string, Stores>();

  open(name: string): Request<Database> {
    const request = new Request<Database>();
    setTimeout(() => {
      const fresh = !this.#databases.has(name);
      const stores: Stores = this.#databases.get(name) ?? new Map();
      this.#databases.set(name, stores);
      let closed = false;
      request.result = {
        createObjectStore: (store) => void stores.set(store, new Map()),
        transaction: (store, mode) => {
          if (closed) throw new Error('InvalidStateError: the connection is closed');
          return this.#transaction(stores.get(store), mode);
        },
        close: () => (closed = true),
      };
      if (fresh) call(request.onupgradeneeded);
      call(request.onsuccess);
    });
    return request;
  }

  /** Behind the back of whoever uses it. */
  overwrite(database: string, store: string, key: string, value: unknown): void {
    this.#databases.get(database)?.get(store)?.set(key, value);
  }

  #transaction(records: Map<string, unknown> | undefined, mode: string): Transaction {
    if (!records) throw new Error('NotFoundError: no such object store');
    const transaction: Transaction = {
      error: null,
      oncomplete: null,
      onerror: null,
      onabort: null,
      objectStore: () => tables,
    };
    const ask = (answer: () => unknown): Asked => {
      const request = new Request<unknown>();
      setTimeout(() => {
        request.result = answer();
        call(request.onsuccess);
        setTimeout(() => call(transaction.oncomplete));
      });
      return request;
    };
    const write = (change: () => unknown): Asked => {
      if (mode !== 'readwrite') throw new Error('ReadOnlyError: the transaction only reads');
      return ask(change);
    };
    const tables: Tables = {
      get: (key) => ask(() => structuredClone(records.get(key))),
      getAll: () => ask(() => [...records.values()].map((value) => structuredClone(value))),
      put: (value, key) => {
        const copy = structuredClone(value);
        return write(() => void records.set(key, copy));
      },
      clear: () => write(() => records.clear()),
    };
    return transaction;
  }
}
