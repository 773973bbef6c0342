// The dashboard's server, on this machine's own address alone.
import type { AddressInfo } from 'node:net';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import { misuse } from '../usage.ts';
import { HOST, PORT } from './address.ts';
import { makeApp } from './app.ts';
import { dashboardAssets } from './assets.ts';
import { Watch } from './watch.ts';

const TRIES = 20;
const LATE_MS = 500;

export interface Dashboard {
  readonly address: string;
  /** Tells those who look that this ends, after a last look at the runs, and ends. */
  close(): Promise<void>;
}

interface ServeOptions {
  /** 0: any that is free; without one, the first that is free from PORT on. */
  readonly port?: number;
  /** Asked now and then for folders of runs, of which those that are new join the others. */
  readonly more?: () => Promise<readonly string[]>;
}

/**
 * @param paths folders of runs, which may still be empty
 * @throws UsageError where the port is taken
 */
export async function serveDashboard(paths: readonly string[], { port, more }: ServeOptions = {}): Promise<Dashboard> {
  const watch = new Watch(paths, more);
  let bound = 0;
  const { fetch } = makeApp(watch, dashboardAssets, () => bound);
  const ports = port === undefined ? Array.from({ length: TRIES }, (_, i) => PORT + i) : [port];
  for (const one of ports) {
    const server = createAdaptorServer({ fetch });
    if (!(await listens(server, one))) continue;
    bound = (server.address() as AddressInfo).port;
    return {
      address: `http://${HOST}:${bound}/`,
      close: async () => {
        await watch.end();
        await closed(server);
      },
    };
  }
  return misuse(
    port === undefined
      ? `ports ${PORT} to ${ports.at(-1)} are taken: give another by --port`
      : `port ${port} is taken: give another, or none for one that is free`,
  );
}

/** Streams end by themselves after the farewell; what a browser keeps open for later is ended. */
const closed = (server: ServerType): Promise<void> =>
  new Promise((done) => {
    const late = setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), LATE_MS);
    server.close(() => {
      clearTimeout(late);
      done();
    });
  });

/** False where the port is another's. */
const listens = (server: ServerType, port: number): Promise<boolean> =>
  new Promise((done, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? done(false) : failed(portError(error, port)),
    );
    server.listen(port, HOST, () => done(true));
  });

function portError(error: NodeJS.ErrnoException, port: number): Error {
  if (error.code !== 'EACCES') return error;
  try {
    return misuse(`port ${port} is not for ordinary users: give one above 1023`);
  } catch (usage) {
    return usage as Error;
  }
}
