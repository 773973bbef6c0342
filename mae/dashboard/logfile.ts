// A log of JSON lines that another process writes: what is new in it since the last look, and whether it became another log.
import { open, type FileHandle } from 'node:fs/promises';
import { type Line, numbersOf } from '../report/lines.ts';

/** Bytes before the place that was read to, by which the log is known again. */
const MARK = 64;
/** Read at once; a log may have hundreds of megabytes. */
const CHUNK = 1 << 20;
const NEWLINE = 10;

export class LogFile {
  readonly #path: string;
  #at = 0;
  #mark = Buffer.alloc(0);
  /** Of this log so far. */
  lines = 0;
  /** Lines that hold no numbers: how many, and the first one. */
  broken = { count: 0, first: 0 };
  /** Why the log could not be read at the last look; null where it could, or is not there. */
  trouble: string | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Calls `take` with every line that was completed since the last look. A last line without its end waits. Where the log is another one
   * by now, `restart` comes first, and then all of it.
   */
  async look(take: (line: Line) => void, restart: () => void): Promise<void> {
    this.trouble = null;
    const file = await open(this.#path, 'r').catch((error) => this.#failed(error));
    if (!file) {
      if (this.#at && !this.trouble) this.#forget(restart);
      return;
    }
    try {
      if (!(await this.#isTheSame(file))) this.#forget(restart);
      while (await this.#readOn(file, take));
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
    } finally {
      await file.close();
    }
  }

  #failed({ code, message }: NodeJS.ErrnoException): null {
    if (code !== 'ENOENT') this.trouble = code ?? message;
    return null;
  }

  #forget(restart: () => void): void {
    this.#at = this.lines = 0;
    this.#mark = Buffer.alloc(0);
    this.broken = { count: 0, first: 0 };
    restart();
  }

  /** A resumed run cuts its logs, and what it then writes may be longer than before. */
  async #isTheSame(file: FileHandle): Promise<boolean> {
    const { length } = this.#mark;
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, this.#at - length);
    return bytesRead === length && buffer.equals(this.#mark);
  }

  /** @returns whether there may be more */
  async #readOn(file: FileHandle, take: (line: Line) => void): Promise<boolean> {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK), 0, CHUNK, this.#at);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
    if (!end) return false;
    const whole = buffer.subarray(0, end);
    for (const text of whole.toString('utf8').split('\n').slice(0, -1)) this.#line(text, take);
    this.#at += end;
    this.#mark = Buffer.from(whole.subarray(-MARK));
    return bytesRead === CHUNK;
  }

  #line(text: string, take: (line: Line) => void): void {
    this.lines++;
    if (!text) return;
    const line = numbersOf(text);
    if (line) take(line);
    else if (this.broken.count++ === 0) this.broken.first = this.lines;
  }
}
