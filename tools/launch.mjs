// Runs the project's TypeScript in the chosen environment: in a Node process of its own, because a Vulkan driver and its C
// library cannot be changed in a running one.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hostNode, installed, root } from './cache.mjs';
import { has } from './child.mjs';
import { launchEnvironment, pristine } from './environment.mjs';
import { followNpm } from './follow-npm.mjs';

const tool = (name) => pathToFileURL(join(root, 'tools', name)).href;

const MAIN = installed ? join(root, 'dist', 'lib', 'mae', 'cli', 'main.js') : join(root, 'mae', 'cli', 'main.ts');

/** The program and arguments that run a .ts file: in the environment of `choice`, or (null) in plain Node without a GPU. */
export function commandLine(entry, argv, choice) {
  const [program, ...leading] = choice?.command ?? [hostNode()];
  return [program, [...leading, '--import', tool('inside.mjs'), '--import', tool('register.mjs'), entry, ...argv]];
}

/** Lets the kernel end a program when its starter dies, even by kill -9, which no handler could pass on. */
export function tied([program, args]) {
  return process.platform === 'linux' && has('setpriv')
    ? ['setpriv', ['--pdeathsig', 'KILL', program, ...args]]
    : [program, args];
}

/**
 * Runs `entry` (a .ts file) with `argv`; input and output are this process's own.
 * @param adapter a result of chooseAdapter, or null for plain Node  @returns its exit code (128 + n for signal n)
 */
export function launch(argv, { adapter = null, entry = MAIN } = {}) {
  const [program, args] = tied(commandLine(entry, argv, adapter));
  const env = adapter ? launchEnvironment(adapter) : pristine();
  // Native code writes its warnings to descriptor 2, which goes through a filter; the program's own stderr is ours itself, as
  // descriptor 3 (see inside.mjs): progress bars see a terminal, and in a file or pipe of both nothing overtakes what was said before.
  env.TESSERAE_STDERR = '3';
  const child = spawn(program, args, { env, stdio: ['inherit', 'inherit', 'pipe', 2] });
  const filter = noiseFilter((text) => process.stderr.write(text));
  child.stderr.setEncoding('utf8').on('data', filter.write).on('close', filter.end);
  const restore = passSignals(child);
  const unfollow = followNpm(child);
  return new Promise((settle) => {
    const done = (code) => {
      restore();
      unfollow();
      settle(code);
    };
    child.on('error', (error) => {
      process.stderr.write(`tesserae: cannot start ${program}: ${error.message}\n`);
      done(1);
    });
    child.on('exit', (code, signal) => {
      const status = signal ? 128 + constants.signals[signal] : code;
      // A descendant may still hold the pipe: what is in it by then is shown, the rest is not waited for.
      const patience = setTimeout(() => done(status), 1000);
      child.stderr.on('close', () => {
        clearTimeout(patience);
        done(status);
      });
    });
  });
}

/**
 * Passes signals on, each as often as it came. On a terminal, Ctrl-C already reached the whole process group: passing it on
 * would look like a second Ctrl-C, which means "at once".
 */
function passSignals(child) {
  const terminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  const handlers = ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => {
    const handler = () => void (signal === 'SIGINT' && terminal ? null : child.kill(signal));
    process.on(signal, handler);
    return () => process.removeListener(signal, handler);
  });
  return () => {
    for (const remove of handlers) remove();
  };
}

// Dawn clamps two limits by itself on every start and warns; nothing follows from it.
const NOISE = /^Warning: max\w+ artificially reduced from /;
const NOISE_START = 'Warning: max';

/** Passes text on at once, less the lines that are known noise. */
export function noiseFilter(show) {
  let held = '';
  let lineStart = true;
  const write = (chunk) => {
    let text = held + chunk;
    held = '';
    while (text) {
      const newline = text.indexOf('\n');
      const line = newline < 0 ? text : text.slice(0, newline + 1);
      if (newline < 0 && lineStart && (NOISE_START.startsWith(line) || line.startsWith(NOISE_START))) {
        held = line;
        return;
      }
      if (!(lineStart && NOISE.test(line))) show(line);
      lineStart = newline >= 0;
      text = text.slice(line.length);
    }
  };
  return { write, end: () => held && show(held) };
}
