// The one way in which these tools run another program and wait for it: nothing blocks, a limit of time, output kept.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * @returns {Promise<{ code: number | null, signal: string | null, out: string, err: string, all: string, timedOut: boolean }>}
 *   never rejects: a program that cannot be started has code 127 and its reason in `err`.
 */
export function run(command, args, { env = process.env, cwd, timeout = 0, input, onOutput } = {}) {
  return new Promise((settle) => {
    const result = { code: null, signal: null, out: '', err: '', all: '', timedOut: false };
    // A group of its own, so that a limit of time ends its children as well.
    const grouped = process.platform !== 'win32';
    const child = spawn(command, args, {
      env,
      cwd,
      detached: grouped,
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    });
    const end = () => {
      try {
        if (grouped) process.kill(-child.pid, 'SIGKILL');
        else child.kill('SIGKILL');
      } catch {
        // already gone
      }
    };
    const abandon = () => {
      end();
      process.exit(130);
    };
    const expire = () => {
      result.timedOut = true;
      end();
    };
    const timer = timeout ? setTimeout(expire, timeout) : null;
    const keep = (which) => (chunk) => {
      result[which] += chunk;
      result.all += chunk;
      onOutput?.(String(chunk));
    };
    child.stdout.setEncoding('utf8').on('data', keep('out'));
    child.stderr.setEncoding('utf8').on('data', keep('err'));
    if (input) child.stdin.end(input);
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, abandon);
    let settled = false;
    const finish = () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      for (const signal of ['SIGINT', 'SIGTERM']) process.removeListener(signal, abandon);
      settle(result);
    };
    child.on('error', (error) => {
      result.code = 127;
      result.err += error.message;
      result.all += error.message;
      finish();
    });
    // A grandchild that outlives the program may hold its pipes open: two seconds of patience, then on.
    child.on('exit', (code, signal) => {
      Object.assign(result, { code, signal });
      setTimeout(finish, 2000).unref();
    });
    child.on('close', finish);
  });
}

/** Whether a program is on the PATH. */
export function has(program, env = process.env) {
  const names = process.platform === 'win32' ? [`${program}.exe`, `${program}.cmd`] : [program];
  return (env.PATH ?? '')
    .split(delimiter)
    .some((folder) => names.some((name) => folder && existsSync(join(folder, name))));
}

/** A word for a shell script. */
export const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
