// `--timings` and `--trace FILE` of any command: what its kernels and its host took, as a table on stderr and as a trace for ui.perfetto.dev.
import { writeFileSync } from 'node:fs';
import picocolors from 'picocolors';
import { reasonOf } from '../../engine/node/file-errors.ts';
import { type KernelSum, MOST_SPANS, record, Recorder } from '../../engine/timings.ts';
import { columns, NO_FOLDER } from './command.ts';
import { misuse } from '../usage.ts';
import { traceText } from './trace-events.ts';

export interface Watched {
  readonly timings?: boolean;
  readonly trace?: string;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

/**
 * Begins to record where a flag asks for it. What it gives ends that: the table, and the trace's file. An interrupt writes the trace, too.
 */
export function watch({ timings, trace }: Watched): () => Promise<void> {
  if (!timings && trace === undefined) return async () => {};
  const write = (text: string): void => {
    try {
      writeFileSync(trace as string, text);
    } catch (error) {
      misuse(`--trace ${trace}: ${reasonOf(error, NO_FOLDER)}`);
    }
  };
  const recorder = new Recorder(trace !== undefined);
  // At once, so that a folder that is not there is told before hours of work.
  if (trace !== undefined) write(traceText(recorder));
  record(recorder);
  const began = performance.now();
  let ended = false;
  const finish = (): void => {
    if (ended) return;
    ended = true;
    record(null);
    if (timings) for (const line of timingTable(recorder, performance.now() - began)) say(line);
    if (trace === undefined) return;
    write(traceText(recorder));
    const left = recorder.left ? `; it holds the first ${MOST_SPANS} spans, ${recorder.left} more were left out` : '';
    say(`${trace}: open it in ui.perfetto.dev${left}`);
  };
  process.on('exit', finish);
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    // A command that saves at an interrupt has a listener of its own, and ends by an exit.
    process.on(signal, () => process.listenerCount(signal) === 1 && process.exit(code));
  }
  return async () => {
    await recorder.settled();
    finish();
  };
}

const per = (amount: number, ms: number): string => (amount > 0 && ms > 0 ? (amount / ms / 1e6).toFixed(1) : '');
const share = (part: number, whole: number): string => (whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '');

/** The kernels by their time, and what the host spent; at most 100 characters wide. @param wall ms that the command took */
export function timingTable(recorder: Recorder, wall: number): string[] {
  const { kernels, host, adapter, byWaiting } = recorder;
  if (!kernels.size) return ['--timings: no kernel ran in this process'];
  const sums = [...kernels].sort(([, a], [, b]) => b.ms - a.ms);
  const all: KernelSum = { calls: 0, ms: 0, flops: 0, bytes: 0 };
  for (const [, sum] of sums) for (const key of ['calls', 'ms', 'flops', 'bytes'] as const) all[key] += sum[key];
  const row = (name: string, { calls, ms, flops, bytes }: KernelSum): string[] => [
    name,
    String(calls),
    ms.toFixed(2),
    (ms / calls).toFixed(3),
    share(ms, all.ms),
    per(flops, ms),
    per(bytes, ms),
  ];
  const head = ['kernel', 'calls', 'ms', 'ms each', 'share', 'GFLOP/s', 'GB/s'].map((name) => picocolors.dim(name));
  const rows = [head, ...sums.map(([name, sum]) => row(name, sum)), row('all kernels', all)];
  const by = byWaiting
    ? 'each kernel submitted alone and waited for, for want of timestamps: short ones show the wait'
    : 'by timestamps of the device, each kernel in a pass of its own';
  const spent = [...host].sort(([, a], [, b]) => b - a).map(([kind, ms]) => [kind, ms.toFixed(2), share(ms, wall)]);
  return [
    '',
    `timings on ${adapter}`,
    by,
    ...columns(rows, [1, 2, 3, 4, 5, 6]),
    '',
    ...columns(
      [['host', 'ms', 'share'].map((name) => picocolors.dim(name)), ...spent, ['whole command', wall.toFixed(2), '']],
      [1, 2],
    ),
    'The host works at several things at a time, and beside the kernels: its shares add up to anything.',
  ];
}
