// A disk in memory that forgets: after a power cut it holds any state that POSIX allows. What was not fsynced may be there, in part, or
// not at all; names of a folder that was not fsynced may be the old ones or the new ones, each on its own.
import { basename } from 'node:path';
import type { Disk } from '../../engine/node/files.ts';
import type { Random } from '../../kernels/random/random.ts';

interface Inode {
  /** On the disk for certain. */
  durable: Uint8Array;
  /** Since the last fsync, in order. */
  readonly pending: { readonly at: number; readonly bytes: Uint8Array }[];
}

type Change = { readonly name: string; readonly inode: Inode | null } | { readonly from: string; readonly to: string };

interface CutDisk {
  readonly disk: Disk;
  /** Calls that changed anything, in order. */
  readonly calls: readonly string[];
  /** What files may be there if the power fails now: random choices of what was not fsynced. */
  afterCut(rng: Random): Map<string, Uint8Array>;
}

/** `forget`: calls that do nothing, to show that a save without them is caught. `pieces`: bytes of a single write. `each` runs after every call. */
export function cutDisk(each: (call: string) => void, forget: readonly string[] = [], pieces = 1000): CutDisk {
  const calls: string[] = [];
  const durable = new Map<string, Inode>();
  const names = new Map<string, Inode>();
  /** Changes of names since the folder's last fsync. */
  let changes: Change[] = [];
  const did = (call: string): void => {
    calls.push(call);
    each(call);
  };
  const apply = (table: Map<string, Inode>, change: Change): void => {
    if ('name' in change) {
      if (change.inode) table.set(change.name, change.inode);
      else table.delete(change.name);
      return;
    }
    const inode = table.get(change.from);
    if (!inode) return;
    table.delete(change.from);
    table.set(change.to, inode);
  };
  const change = (made: Change): void => {
    apply(names, made);
    changes.push(made);
  };
  const disk: Disk = {
    async open(path, flags) {
      if (flags === 'r') {
        return {
          write: async () => ({ bytesWritten: 0 }),
          async sync() {
            if (!forget.includes('sync folder')) {
              for (const made of changes) apply(durable, made);
              changes = [];
            }
            did('sync folder');
          },
          async close() {},
        };
      }
      const inode: Inode = { durable: new Uint8Array(0), pending: [] };
      change({ name: basename(path), inode });
      did('create');
      let at = 0;
      return {
        async write(data, offset, length) {
          const bytes = data.slice(offset, offset + Math.min(length, pieces));
          inode.pending.push({ at, bytes });
          at += bytes.length;
          did('write');
          return { bytesWritten: bytes.length };
        },
        async sync() {
          if (!forget.includes('sync')) {
            inode.durable = contents(inode, () => true);
            inode.pending.length = 0;
          }
          did('sync');
        },
        async close() {},
      };
    },
    async rename(from, to) {
      change({ from: basename(from), to: basename(to) });
      did('rename');
    },
    async unlink(path) {
      if (!names.has(basename(path))) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
      change({ name: basename(path), inode: null });
      did('unlink');
    },
  };
  return {
    disk,
    calls,
    afterCut(rng) {
      const table = new Map(durable);
      for (const made of changes)
        if (rng.below(2)) apply(table, 'from' in made ? withSource(made, names, table) : made);
      return new Map([...table].map(([name, inode]) => [name, contents(inode, () => rng.below(2) === 1, rng)]));
    },
  };
}

/** A rename may reach the disk before the creation of what it renames. */
function withSource(made: { from: string; to: string }, now: Map<string, Inode>, table: Map<string, Inode>): Change {
  const inode = table.get(made.from) ?? now.get(made.to);
  table.delete(made.from);
  return { name: made.to, inode: inode ?? null };
}

/** The durable bytes, and of those since each piece that `holds` chooses, one of them torn. What is missing before a piece reads as zeros. */
function contents({ durable, pending }: Inode, holds: () => boolean, rng?: Random): Uint8Array {
  const kept = pending.filter(holds);
  const torn = rng && kept.length ? rng.below(kept.length) : -1;
  const end = Math.max(durable.length, ...kept.map(({ at, bytes }) => at + bytes.length));
  const out = new Uint8Array(end);
  out.set(durable);
  for (const [i, { at, bytes }] of kept.entries())
    out.set(i === torn ? bytes.subarray(0, rng?.below(bytes.length + 1)) : bytes, at);
  return out;
}
