// The dashboard of a run within the process that trains: in a thread of its own, so that neither waits for the other.
import { Worker } from 'node:worker_threads';
import { INSTALLED } from '../root.ts';
import { misuse } from '../usage.ts';
import type { FromWorker, WorkerJob } from './worker.ts';

/** A page that does not take its farewell is not waited for. */
const LATE_MS = 2000;

/** `--dashboard` may name a port. */
export function portOf(flag: string | boolean | undefined): number | undefined {
  if (typeof flag !== 'string') return undefined;
  const port = Number(flag);
  return /^\d+$/.test(flag) && port < 65_536
    ? port
    : misuse(`--dashboard must be a port below 65536, or stand alone, got ${flag}`);
}

/**
 * Serves the dashboard of the run in `folder` while `work` lasts, where the flag asks for it. Whatever goes wrong with it is a note, and the run
 * goes on.
 */
export async function withDashboard<T>(
  flag: string | boolean | undefined,
  folder: string,
  note: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  if (!flag) return work();
  const port = portOf(flag);
  const file = new URL(`./worker${INSTALLED ? '.js' : '.ts'}`, import.meta.url);
  const worker = new Worker(file, { workerData: { folder, port } satisfies WorkerJob });
  const ended = new Promise<void>((done) => worker.once('exit', () => done()));
  const failed = (why: string): void =>
    note(`--dashboard: ${why}; training goes on without (tesserae dashboard ${folder} shows it, too)`);
  worker.on('error', (error) => failed(error.message));
  worker.on('message', (message: FromWorker) => {
    if ('problem' in message) failed(message.problem);
    else note(`dashboard: ${message.address}`);
  });
  try {
    return await work();
  } finally {
    worker.postMessage('end');
    const late = setTimeout(() => void worker.terminate(), LATE_MS);
    await ended;
    clearTimeout(late);
  }
}
