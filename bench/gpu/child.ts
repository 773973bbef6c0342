// A part as a process of its own: rows come as marked lines on its stdout, and what hangs or crashes ends alone.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { PartResult, Row } from './report.ts';

/** Before every line that is meant for us; drivers and libraries print to stdout too. */
const MARK = '@@ ';
/** The request of a worker, as JSON. */
export const REQUEST = 'TESSERAE_GPU_PART';

/** A row; where it stands, and whether it now waits for its turn; of PyTorch its version, or why there is none. */
export type Message =
  | { readonly row: Row }
  | { readonly note: string; readonly waits?: true }
  | { readonly torch: string }
  | { readonly missing: string };

export const send = (message: Message): void => void process.stdout.write(`${MARK}${JSON.stringify(message)}\n`);

export interface Ended {
  readonly status: PartResult['status'] | 'skipped';
  readonly error?: string;
}

const running = new Set<number>();
process.on('exit', () => running.forEach(end));

/** Ends what runs together with this process, however that ends: an interrupt takes the way of an exit. */
export function endTogether(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)
    process.once(signal, () => process.exit(code));
}

/** For a worker: its own end where its starter was killed and could not end it. */
export function endWithStarter(): void {
  const starter = process.ppid;
  setInterval(() => process.ppid !== starter && process.exit(1), 1000).unref();
}

function end(pid: number): void {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** Runs a command for at most `limitMs`; `got` is called with everything that it sends. */
export function runChild(
  command: readonly string[],
  env: Record<string, string>,
  limitMs: number,
  got: (message: Message) => void,
): Promise<Ended> {
  const { ended, limit } = startChild(command, env, got);
  limit(limitMs);
  return ended;
}

export interface Child {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** From now on it may take so long. */
  readonly limit: (ms: number) => void;
}

/** Runs a command without a limit of time, until one is set. */
export function startChild(
  [program, ...args]: readonly string[],
  env: Record<string, string>,
  got: (message: Message) => void,
): Child {
  const child = spawn(program, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  const pid = child.pid ?? 0;
  if (pid) running.add(pid);
  let [rest, said] = ['', ''];
  let late: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) if (line.startsWith(MARK)) got(JSON.parse(line.slice(MARK.length)));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  const limit = (ms: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      late = ms;
      end(pid);
    }, ms);
  };
  const ended = new Promise<Ended>((settle) => {
    child.on('error', (error) => settle({ status: 'failed', error: `${program} cannot be started: ${error.message}` }));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(pid);
      if (late !== null) settle({ status: 'out of time', error: `did not end within ${(late / 1000).toFixed(0)} s` });
      else if (code === 0) settle({ status: 'ok' });
      else settle({ status: 'failed', error: `${signal ?? `exit code ${code}`}: ${lastWords(said)}` });
    });
  });
  return { pid, ended, limit };
}

/** The end of what a process said on stderr, without the two warnings that Dawn prints at every start. */
function lastWords(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() && !/^Warning: max\w+ artificially reduced/.test(line));
  return lines.slice(-6).join(' | ').trim() || 'it said nothing';
}

/**
 * The command line of this very process, to start it again as a worker. Under a C library's own loader execPath names the
 * loader, so the kernel is asked where it can be.
 */
export function ownCommand(): string[] {
  try {
    return readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
  } catch {
    return [process.execPath, ...process.execArgv, ...process.argv.slice(1).map((arg, i) => (i ? arg : resolve(arg)))];
  }
}
