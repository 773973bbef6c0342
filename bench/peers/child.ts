// A peer's process: started on demand, asked one thing at a time, ended when it crashes or says nothing for too long.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { type Answer, MARK, type Request } from './protocol.ts';

/** Why a peer has no number: it cannot do the work, or failed at it. */
export class PeerFailure extends Error {
  readonly unable: boolean;
  constructor(message: string, unable = false) {
    super(message);
    this.unable = unable;
  }
}

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Kept of what a process wrote on stderr, to tell its last words. */
const TAIL = 4000;
/** Dawn says this at every start. */
const NOISE = /^Warning: max\w+ artificially reduced/;

export class PeerChild {
  readonly #command: Command;
  #child: ChildProcessWithoutNullStreams | null = null;
  #answer: ((answer: Answer<unknown>) => void) | null = null;
  #out = '';
  #err = '';
  readonly #atExit = (): void => void this.#child?.kill('SIGKILL');

  constructor(command: Command) {
    this.#command = command;
  }

  /** The answer to a request. @throws PeerFailure */
  async ask<T>(request: Request, timeoutSeconds: number): Promise<T> {
    const child = this.#started();
    const answer = await new Promise<Answer<T>>((settle) => {
      const timer = setTimeout(() => {
        this.kill();
        settle({ error: `no answer in ${timeoutSeconds} s` });
      }, timeoutSeconds * 1000);
      this.#answer = (given) => {
        clearTimeout(timer);
        this.#answer = null;
        settle(given as Answer<T>);
      };
      child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if ('unable' in answer) throw new PeerFailure(answer.unable, true);
    if ('error' in answer) throw new PeerFailure(answer.error);
    return answer.ok;
  }

  kill(): void {
    const child = this.#child;
    this.#child = null;
    process.removeListener('exit', this.#atExit);
    child?.kill('SIGKILL');
  }

  #started(): ChildProcessWithoutNullStreams {
    if (this.#child) return this.#child;
    const { program, args, env } = this.#command;
    const child = spawn(program, [...args], { env: { ...process.env, ...env }, stdio: 'pipe' });
    this.#child = child;
    [this.#out, this.#err] = ['', ''];
    process.on('exit', this.#atExit);
    child.stdin.on('error', () => {});
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#err = (this.#err + text).slice(-TAIL);
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (child === this.#child) this.#read(text);
    });
    const ended = (how: string): void => {
      if (child !== this.#child) return;
      this.kill();
      this.#answer?.({ error: `${how}${this.#lastWords()}` });
    };
    child.on('error', (error) => ended(`cannot be started: ${error.message}`));
    child.on('close', (code, signal) => ended(signal ? `ended by ${signal}` : `ended with exit code ${code}`));
    return child;
  }

  #read(text: string): void {
    const lines = (this.#out + text).split('\n');
    this.#out = lines.pop() as string;
    for (const line of lines) {
      if (line.startsWith(MARK)) this.#answer?.(JSON.parse(line.slice(MARK.length)));
    }
  }

  #lastWords(): string {
    const lines = this.#err.split('\n').filter((line) => line.trim() && !NOISE.test(line));
    const error = lines.filter((line) => /error|abort|fault/i.test(line)).pop() ?? lines.pop();
    return error ? `: ${error.trim().slice(0, 300)}` : '';
  }
}
