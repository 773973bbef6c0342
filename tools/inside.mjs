// The first module of every launched program: mends what the launch changed about its process.
import { writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { isatty, WriteStream } from 'node:tty';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  // Descriptor 2 is a filtered pipe for native warnings; 3 is the user's stderr (see launch.mjs).
  if (process.env.TESSERAE_STDERR === '3') {
    const stderr = isatty(3) ? new WriteStream(3) : Object.assign(new Writable({ write: writeAll }), { fd: 3 });
    Object.defineProperty(process, 'stderr', { configurable: true, enumerable: true, get: () => stderr });
  }
  delete process.env.TESSERAE_STDERR;
  // Under the software adapter's loader this would name the loader, and child_process.fork would start that.
  if (process.env.TESSERAE_NODE) process.execPath = process.env.TESSERAE_NODE;
  // Where the kernel cannot tie this process to its starter, it looks for itself.
  const starter = process.ppid;
  setInterval(() => process.ppid !== starter && process.exit(143), 1000).unref();
}

/** At once, as Node's own stderr writes into files and pipes; a pipe that others made non-blocking may ask for patience. */
function writeAll(chunk, _encoding, done) {
  try {
    for (let at = 0; at < chunk.length; ) at += written(chunk.subarray(at));
    done();
  } catch (error) {
    done(error);
  }
}

function written(bytes) {
  try {
    return writeSync(3, bytes);
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return 0;
  }
}
