// The peer's end of the protocol: reads requests, loads inputs, takes the time. Each peer only says how to do the work.
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Answer, type Hello, MARK, type Place, type Request, type Timing, type Work } from './protocol.ts';

/** A piece of work with its inputs in place. */
export interface Prepared {
  /** Submits the work `times` times and waits for all; gives the loss of a training step. */
  run(times: number): Promise<number | undefined>;
  /** The result of the last run, flat; left out by training steps. */
  read?(): Promise<ArrayLike<number>>;
  dispose?(): void;
}

export type Inputs = Readonly<Record<string, { readonly data: Float32Array; readonly shape: readonly number[] }>>;

interface Served {
  hello(): Promise<Hello>;
  prepare(work: Work, inputs: Inputs): Promise<Prepared>;
}

/** Thrown by `prepare` for work that the library has no way to do. */
export class Unable extends Error {}

/** Answers requests until stdin ends, one at a time. */
export function serve(peer: Served): void {
  let prepared: Prepared | null = null;
  const timed = async (times: number): Promise<Timing> => {
    if (!prepared) throw new Error('nothing is prepared');
    const cpu = process.cpuUsage();
    const began = performance.now();
    const loss = await prepared.run(times);
    const ms = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    return { ms: ms / times, cpu_ms: (user + system) / 1000 / times, loss };
  };
  const drop = (): object => {
    prepared?.dispose?.();
    prepared = null;
    return {};
  };
  const handle = async (request: Request): Promise<Hello | Timing | object> => {
    if (request.do === 'hello') return peer.hello();
    if (request.do === 'drop') return drop();
    if (request.do === 'measure') return timed(request.times);
    drop();
    prepared = await peer.prepare(request.work, load(request.file, request.arrays));
    const first = await timed(1);
    if (prepared.read) writeFileSync(request.out, new Uint8Array(Float32Array.from(await prepared.read()).buffer));
    return first;
  };
  const lines = createInterface({ input: process.stdin });
  let queue = Promise.resolve();
  lines.on('line', (line) => {
    queue = queue.then(async () => say(await handle(JSON.parse(line)).then((ok) => ({ ok }), failed)));
  });
  // A process that is left alone ends by itself, whatever its library still has open.
  lines.on('close', () => void queue.then(() => process.exit(0)));
}

const failed = (error: unknown): Answer<never> => {
  const text = error instanceof Error ? error.message : String(error);
  return error instanceof Unable ? { unable: text } : { error: text };
};

const say = (answer: Answer<object>): void => void process.stdout.write(`${MARK}${JSON.stringify(answer)}\n`);

function load(file: string, arrays: Readonly<Record<string, Place>>): Inputs {
  const bytes = readFileSync(file);
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { offset, shape }]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      // Copied out: a library may keep the array, and must not keep the whole file with it.
      return [
        name,
        {
          shape,
          data: new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + 4 * count)),
        },
      ];
    }),
  );
}
