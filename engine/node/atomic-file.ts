// A file that is written in pieces, in any order, and has its name only when it is whole: for what is too large to be in memory at once.
import * as node from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileError, spaceText } from './file-errors.ts';
import { syncFolder, temporaryOf, writeWhole } from './files.ts';

/** One such file; `using` takes it back unless it was committed. All of it throws FileError, which names the path and what became of it. */
export class AtomicFile {
  readonly path: string;
  readonly #temporary: string;
  #file: node.FileHandle | null;
  #end = 0;
  #renamed = false;

  private constructor(path: string, temporary: string, file: node.FileHandle) {
    this.path = path;
    this.#temporary = temporary;
    this.#file = file;
  }

  /** A sibling of `path` with a name that `removeStrayTemporaries` knows. @throws FileError */
  static async create(path: string): Promise<AtomicFile> {
    const temporary = temporaryOf(path);
    try {
      return new AtomicFile(path, temporary, await node.open(temporary, 'wx'));
    } catch (error) {
      throw fileError('save', path, error, { outcome: 'nothing was changed' });
    }
  }

  /** Bytes written behind one another so far, those of `writeAt` included where they reach further. */
  get length(): number {
    return this.#end;
  }

  /** At the end. */
  write(bytes: Uint8Array): Promise<void> {
    return this.writeAt(this.#end, bytes);
  }

  async writeAt(offset: number, bytes: Uint8Array): Promise<void> {
    const file = this.#open();
    this.#end = Math.max(this.#end, offset + bytes.length);
    const write = (data: Uint8Array, at: number, length: number) => file.write(data, at, length, offset + at);
    await this.#guarded(() => writeWhole({ write }, bytes), bytes.length);
  }

  /** Flushes it and gives it its name, in the place of a file that had it. */
  async commit(): Promise<void> {
    const file = this.#open();
    await this.#guarded(async () => {
      await file.sync();
      await file.close();
      this.#file = null;
      await node.rename(this.#temporary, this.path);
      this.#renamed = true;
      await syncFolder(dirname(this.path), node);
    });
  }

  /** Takes everything back; nothing where it was committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close().catch(() => {});
    this.#file = null;
    if (!this.#renamed) await node.unlink(this.#temporary).catch(() => {});
  }

  #open(): node.FileHandle {
    if (!this.#file) throw new Error(`${this.path} is written to after its end`);
    return this.#file;
  }

  async #guarded(work: () => Promise<void>, bytes = 0): Promise<void> {
    try {
      await work();
    } catch (error) {
      const space = await spaceText(error, bytes, dirname(this.path));
      const outcome = this.#renamed ? 'the new file is there, but a power cut may undo it' : 'nothing was changed';
      throw fileError('save', this.path, error, { space, outcome });
    }
  }
}
