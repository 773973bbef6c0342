// The thread in which a run's own dashboard serves, until it is told to end.
import { parentPort, workerData } from 'node:worker_threads';
import { TesseraeError } from '../../engine/errors.ts';
import { serveDashboard } from './serve.ts';

export interface WorkerJob {
  readonly folder: string;
  readonly port: number | undefined;
}
export type FromWorker = { readonly address: string } | { readonly problem: string };

const { folder, port } = workerData as WorkerJob;
const tell = (message: FromWorker): void => parentPort?.postMessage(message);
try {
  const { address, close } = await serveDashboard([folder], { port });
  tell({ address });
  parentPort?.once('message', async () => {
    await close();
    process.exit();
  });
} catch (error) {
  if (!(error instanceof TesseraeError)) throw error;
  tell({ problem: error.message });
}
