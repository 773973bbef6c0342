// The first module of every launched program: mends what the launch changed about its process.
import { isatty, WriteStream } from 'node:tty';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  // Descriptor 2 is a filtered pipe for native warnings; 3 is the terminal (see launch.mjs).
  if (process.env.TESSERAE_STDERR === '3' && isatty(3)) {
    const stderr = new WriteStream(3);
    Object.defineProperty(process, 'stderr', { configurable: true, enumerable: true, get: () => stderr });
  }
  delete process.env.TESSERAE_STDERR;
  // Under the software adapter's loader this would name the loader, and child_process.fork would start that.
  if (process.env.TESSERAE_NODE) process.execPath = process.env.TESSERAE_NODE;
  // Where the kernel cannot tie this process to its starter, it looks for itself.
  const starter = process.ppid;
  setInterval(() => process.ppid !== starter && process.exit(143), 1000).unref();
}
