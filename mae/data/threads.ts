// The threads that read images, one set of them a process: started when there is work for them, never in the way of the process's end. The
// decoder itself runs in the library's own threads; what is shared out here is all the JavaScript about it, and the copying of pixels.
// (piscina 5.3 was tried: work that waits when its threads cannot start is never told of it.)
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { TesseraeError } from '../../engine/errors.ts';
import { fileOf, INSTALLED } from '../root.ts';
import { budgetMemory } from './budget.ts';
import type { ReadingThreads } from './dataset.ts';
import type { PartJob, PartResult } from './part.ts';
import { loadSharp } from './sharp.ts';
import type { ThreadData, ThreadJob, ThreadResult } from './thread.ts';

/** Fewer images are read before a thread would be up. */
const FEW = 256;
/** Images that a thread reads at the same time: one is decoded while the other one's pixels are copied. */
const AT_ONCE = 2;
/** Jobs that a thread is given ahead, so that it has always something to do. */
const JOBS = 2;

/** Where nothing is said: one core is left to the main thread, and ten of them keep any device busy. */
export const STANDARD_THREADS: number = Math.min(10, Math.max(1, availableParallelism() - 1));

interface Waiting {
  readonly job: PartJob;
  readonly most: number;
  readonly wanted: () => boolean;
  readonly done: (result: PartResult | null) => void;
  readonly failed: (error: Error) => void;
}
interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Waiting>;
}

const FILE = new URL(`./thread${INSTALLED ? '.js' : '.ts'}`, import.meta.url);
let pool: Pool | null = null;

/** At most `count` threads for about `images` images; null where none are wanted, or there is no file to start them from (in a bundle). */
export async function readingThreads(
  count: number = STANDARD_THREADS,
  images: number = FEW,
): Promise<ReadingThreads | null> {
  if (count === 0 || !(FILE.protocol === 'file:' && existsSync(fileURLToPath(FILE)))) return null;
  if (!pool && images < FEW) return null;
  // On Linux the library must be loaded here before it is in a thread, and stay so until the last one ends.
  await loadSharp();
  pool ??= new Pool();
  const here = pool;
  return { read: (job, wanted) => here.read(job, count, wanted) };
}

class Pool {
  readonly #budget = budgetMemory();
  readonly #threads: Thread[] = [];
  readonly #queue: Waiting[] = [];
  #number = 0;
  #ended: Error | null = null;

  read(job: PartJob, most: number, wanted: () => boolean): Promise<PartResult | null> {
    return new Promise((done, failed) => {
      if (this.#ended) return failed(this.#ended);
      this.#queue.push({ job, most, wanted, done, failed });
      this.#next();
    });
  }

  /** Hands out what waits, in order. */
  #next(): void {
    try {
      for (let next = this.#queue[0]; next; next = this.#queue[0]) {
        if (next.wanted()) {
          const thread = this.#free(next.most);
          if (!thread) return;
          this.#give(thread, next);
        } else next.done(null);
        this.#queue.shift();
      }
    } catch (error) {
      // A thread that the system refuses.
      this.#end((error as Error).message);
    }
  }

  #free(most: number): Thread | null {
    const able = this.#threads.slice(0, most);
    const idle = able.reduce<Thread | null>((a, b) => (a && a.jobs.size <= b.jobs.size ? a : b), null);
    if (idle?.jobs.size === 0) return idle;
    if (able.length < most) return this.#start();
    return idle && idle.jobs.size < JOBS ? idle : null;
  }

  #give({ worker, jobs }: Thread, waiting: Waiting): void {
    const number = this.#number++;
    jobs.set(number, waiting);
    // Only while something is awaited of it does a thread keep the process.
    worker.ref();
    worker.postMessage({ number, job: waiting.job } satisfies ThreadJob);
  }

  #start(): Thread {
    const worker = new Worker(FILE, {
      name: 'images',
      workerData: { budget: this.#budget, atOnce: AT_ONCE } satisfies ThreadData,
      // Not those of this process, which may be meant for its own program alone.
      execArgv: INSTALLED ? [] : ['--import', fileOf('tools/register.mjs').href],
    });
    const thread: Thread = { worker, jobs: new Map() };
    worker.on('message', ({ number, result }: ThreadResult) => {
      const waiting = thread.jobs.get(number);
      thread.jobs.delete(number);
      if (!thread.jobs.size) worker.unref();
      waiting?.done(result);
      this.#next();
    });
    worker.on('messageerror', (error) => this.#end(error.message));
    worker.on('error', (error) => this.#end(error.message));
    worker.on('exit', (code) => this.#end(`it ended with exit code ${code}`));
    this.#threads.push(thread);
    return thread;
  }

  /** One that fails ends all: what it was reading is lost. The next loader begins with new ones. */
  #end(why: string): void {
    if (this.#ended) return;
    if (pool === this) pool = null;
    const reason = why.split('\n')[0];
    this.#ended = new TesseraeError(
      `data: a thread that reads images failed (${reason}): try again, or without threads (--num_workers 0)`,
    );
    const waiting = [...this.#threads.flatMap(({ jobs }) => [...jobs.values()]), ...this.#queue.splice(0)];
    for (const { failed } of waiting) failed(this.#ended);
    for (const { worker } of this.#threads) void worker.terminate();
  }
}
