// A disk that fails on demand, to show that no failed save harms what was there.
import * as node from 'node:fs/promises';
import type { Disk } from '../../engine/node/files.ts';

/** A real disk that logs its calls, writes at most `most` bytes a call, and fails call `failAt` after half its work. */
export function brokenDisk(
  failAt = -1,
  code = 'EIO',
  most = Number.POSITIVE_INFINITY,
): { disk: Disk; calls: string[] } {
  const calls: string[] = [];
  const step = async (call: string, half?: () => Promise<unknown>) => {
    if (calls.push(call) - 1 !== failAt) return;
    await half?.();
    throw Object.assign(new Error(`${code}: made up, ${call}`), { code });
  };
  const disk: Disk = {
    async open(path, flags) {
      await step(flags === 'r' ? 'open folder' : `open ${path}`);
      const file = await node.open(path, flags);
      const kind = flags === 'r' ? ' folder' : '';
      return {
        async write(data, offset, length) {
          await step('write', () => file.write(data, offset, length >> 1));
          return file.write(data, offset, Math.min(length, most));
        },
        async sync() {
          await step(`sync${kind}`);
          await file.sync();
        },
        async close() {
          await file.close();
          await step(`close${kind}`);
        },
      };
    },
    async rename(from, to) {
      await step('rename');
      await node.rename(from, to);
    },
    unlink: node.unlink,
  };
  return { disk, calls };
}
