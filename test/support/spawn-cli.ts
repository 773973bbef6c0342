// Runs the command line as a process of its own, in the environment that the test runs in.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  /** Without the two warnings that Dawn prints at every start. */
  readonly err: string;
  readonly ms: number;
}

/** `tesserae ARGS…`; `started` gets hold of the process. Under a software adapter's loader execPath is not a program that runs Node: the launcher names one. */
export function cli(
  args: readonly string[],
  env: Record<string, string> = {},
  started: (child: ChildProcess) => void = () => {},
): Promise<Ended> {
  const node = process.env.TESSERAE_NODE || process.execPath;
  const began = performance.now();
  const child = spawn(node, ['--import', './tools/register.mjs', 'mae/cli/main.ts', ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started(child);
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
  return new Promise((resolve) => {
    child.on('close', (code) => {
      const lines = err.split('\n').filter((line) => !/^Warning: max\w+ artificially reduced/.test(line));
      resolve({ code, out, err: lines.join('\n'), ms: performance.now() - began });
    });
  });
}
