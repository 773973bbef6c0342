// Files as torch.save writes them, and as an attacker would: opcodes of pickles by hand, put into archives that fflate-like writers never make.
// Nothing here parses; it only puts bytes together.
import { crc32 } from 'node:zlib';

type Bytes = Uint8Array | Buffer;

const int = (value: number, bytes: 1 | 2 | 4 | 8): Buffer => {
  const out = Buffer.alloc(bytes);
  if (bytes === 8) out.writeBigUInt64LE(BigInt(value));
  else out.writeUIntLE(value, 0, bytes);
  return out;
};

/** Opcodes, by what they push or do. Each gives bytes; `pickle` joins them between PROTO and STOP. */
export const op = {
  mark: Buffer.from('('),
  dict: Buffer.from('}'),
  list: Buffer.from(']'),
  none: Buffer.from('N'),
  emptyTuple: Buffer.from(')'),
  tuple: Buffer.from('t'),
  tuple1: Buffer.from([0x85]),
  tuple2: Buffer.from([0x86]),
  reduce: Buffer.from('R'),
  newobj: Buffer.from([0x81]),
  build: Buffer.from('b'),
  setitem: Buffer.from('s'),
  setitems: Buffer.from('u'),
  append: Buffer.from('a'),
  appends: Buffer.from('e'),
  pid: Buffer.from('Q'),
  text: (value: string): Buffer =>
    Buffer.concat([Buffer.from('X'), int(Buffer.byteLength(value), 4), Buffer.from(value)]),
  number: (value: number): Buffer =>
    value < 2 ** 31
      ? Buffer.concat([Buffer.from('J'), int(value, 4)])
      : Buffer.concat([Buffer.from([0x8a, 6]), int(value, 8).subarray(0, 6)]),
  global: (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`),
  put: (index: number): Buffer => Buffer.concat([Buffer.from('r'), int(index, 4)]),
  get: (index: number): Buffer => Buffer.concat([Buffer.from('j'), int(index, 4)]),
  stop: Buffer.from('.'),
} as const;

export const pickle = (...parts: readonly Bytes[]): Buffer =>
  Buffer.concat([Buffer.from([0x80, 2]), ...parts, op.stop]);

interface TensorParts {
  readonly key?: string;
  readonly storage?: string;
  readonly numel: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

/** A persistent storage. */
export const storageOf = (numel: number, key = '0', storage = 'FloatStorage'): Buffer =>
  Buffer.concat([
    op.mark,
    op.text('storage'),
    op.global('torch', storage),
    op.text(key),
    op.text('cpu'),
    op.number(numel),
    op.tuple,
    op.pid,
  ]);

/** `torch._utils._rebuild_tensor_v2` of one. */
export const tensorOf = ({ key, storage, numel, offset = 0, shape, stride }: TensorParts): Buffer =>
  Buffer.concat([
    op.global('torch._utils', '_rebuild_tensor_v2'),
    op.mark,
    storageOf(numel, key, storage),
    op.number(offset),
    op.mark,
    ...shape.map(op.number),
    op.tuple,
    op.mark,
    ...stride.map(op.number),
    op.tuple,
    Buffer.from([0x89]),
    op.none,
    op.tuple,
    op.reduce,
  ]);

/** A dictionary of such tensors, or of anything. */
export const dictOf = (entries: readonly (readonly [key: string, value: Bytes])[]): Buffer =>
  Buffer.concat([op.dict, op.mark, ...entries.flatMap(([key, value]) => [op.text(key), value]), op.setitems]);

interface Entry {
  readonly name: string;
  readonly bytes: Bytes;
  /** Lies of its directory entry. */
  readonly size?: number;
  readonly offset?: number;
  readonly method?: number;
}

/** A zip archive of stored entries, as PyTorch's, with whatever lies the entries tell. */
export function zipOf(entries: readonly Entry[], count = entries.length): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, bytes, size = bytes.length, offset = at, method = 0 } of entries) {
    const title = Buffer.from(name);
    const sum = int(checkOf(bytes), 4);
    const common = [int(0, 2), int(method, 2), int(0, 4), sum, int(size, 4), int(size, 4), int(title.length, 2)];
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), int(20, 2), ...common, int(0, 2), title, bytes]);
    parts.push(local);
    directory.push(
      Buffer.concat([
        Buffer.from('PK\x01\x02'),
        int(20, 2),
        int(20, 2),
        ...common,
        Buffer.alloc(12),
        int(offset, 4),
        title,
      ]),
    );
    at += local.length;
  }
  const names = Buffer.concat(directory);
  const end = [
    Buffer.from('PK\x05\x06'),
    int(0, 4),
    int(count, 2),
    int(count, 2),
    int(names.length, 4),
    int(at, 4),
    int(0, 2),
  ];
  return Buffer.concat([...parts, names, ...end]);
}

const checkOf = (bytes: Bytes): number => (crc32 ? crc32(bytes) : 0);

/** A .pth of this pickle and these storages. */
export const archiveOf = (
  data: Bytes,
  storages: readonly (readonly [key: string, bytes: Bytes])[] = [],
  root = 'archive',
): Buffer =>
  zipOf([
    { name: `${root}/data.pkl`, bytes: data },
    ...storages.map(([key, bytes]) => ({ name: `${root}/data/${key}`, bytes })),
    { name: `${root}/version`, bytes: Buffer.from('3\n') },
  ]);
