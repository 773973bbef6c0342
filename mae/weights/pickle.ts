// Pickles from strangers. The package parses; this decides what it may see: opcodes that torch.save writes, names of an allow-list, and no more
// work than the bytes account for. Nothing is imported or run, and what comes out is Maps, arrays, numbers, text and the
// classes below.
import { BufferReader, Parser } from 'pickleparser';
import { fail, TesseraeError } from '../../engine/errors.ts';
import { DTYPE_BYTES, type Dtype, tensorBytes } from '../../engine/rawtensor.ts';

/** Opcodes that may follow one another, by far more than a checkpoint of ViT-H with its optimizer has (some 80,000). */
const MOST_OPCODES = 300_000;

/** What Python's pickler writes in protocols 2 to 5 for dictionaries, tuples, numbers, text, tensors and namespaces; the others are refused. */
const OPCODES: Readonly<Record<string, number>> = {
  MARK: 0x28,
  EMPTY_TUPLE: 0x29,
  STOP: 0x2e,
  BINBYTES: 0x42,
  SHORT_BINBYTES: 0x43,
  BINFLOAT: 0x47,
  BININT: 0x4a,
  BININT1: 0x4b,
  BININT2: 0x4d,
  NONE: 0x4e,
  BINPERSID: 0x51,
  REDUCE: 0x52,
  BINSTRING: 0x54,
  SHORT_BINSTRING: 0x55,
  BINUNICODE: 0x58,
  EMPTY_LIST: 0x5d,
  APPEND: 0x61,
  BUILD: 0x62,
  GLOBAL: 0x63,
  APPENDS: 0x65,
  BINGET: 0x68,
  LONG_BINGET: 0x6a,
  BINPUT: 0x71,
  LONG_BINPUT: 0x72,
  SETITEM: 0x73,
  TUPLE: 0x74,
  SETITEMS: 0x75,
  EMPTY_DICT: 0x7d,
  PROTO: 0x80,
  NEWOBJ: 0x81,
  TUPLE1: 0x85,
  TUPLE2: 0x86,
  TUPLE3: 0x87,
  NEWTRUE: 0x88,
  NEWFALSE: 0x89,
  LONG1: 0x8a,
  SHORT_BINUNICODE: 0x8c,
  EMPTY_SET: 0x8f,
  ADDITEMS: 0x90,
  FROZENSET: 0x91,
  STACK_GLOBAL: 0x93,
  MEMOIZE: 0x94,
  FRAME: 0x95,
};
const ALLOWED = new Set(Object.values(OPCODES));
const { REDUCE, NEWOBJ, BUILD, BINBYTES, SHORT_BINBYTES, LONG1 } = OPCODES;
const { EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3, BINPUT, LONG_BINPUT, MEMOIZE } = OPCODES;
const TUPLES = new Set([EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3]);
const PUTS = new Set([BINPUT, LONG_BINPUT, MEMOIZE]);

/** Elements that lie in the file under `key`, not yet looked at. */
class StorageRef {
  readonly key: string;
  readonly dtype: Dtype;
  readonly numel: number;
  constructor(key: string, dtype: Dtype, numel: number) {
    this.key = key;
    this.dtype = dtype;
    this.numel = numel;
    Object.freeze(this);
  }
}

/** A tensor as a pickle describes it; its elements lie within its storage. Offset and strides count elements. */
export class TensorRef {
  readonly storage: StorageRef;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];

  constructor(storage: unknown, offset: unknown, size: unknown, stride: unknown) {
    if (!(storage instanceof StorageRef)) fail('a tensor has no storage');
    const [shape, steps] = [counts(size, 'shape'), counts(stride, 'strides')];
    if (!isCount(offset)) fail(`a tensor begins at ${quote(offset)}`);
    if (steps.length !== shape.length) fail(`a tensor of ${shape.length} dimensions has ${steps.length} strides`);
    const numel = tensorBytes('U8', shape);
    const end = numel === 0 ? 0 : shape.reduce((at, n, d) => at + (n - 1) * steps[d], offset) + 1;
    // Tensors that repeat elements (stride 0) would need more memory than the file has.
    if (!(numel <= storage.numel && end <= storage.numel)) {
      fail(
        `a tensor (${shape.join(', ')}) with strides (${steps.join(', ')}) at ${offset} passes the end of its storage ${quote(storage.key)} of ${storage.numel} elements`,
      );
    }
    this.storage = storage;
    this.offset = offset;
    this.shape = shape;
    this.stride = steps;
    Object.freeze(this);
  }
}

/** Whatever is of no use by itself: an `argparse.Namespace` without its values, a device, a numpy number. */
const INERT = Object.freeze({ inert: true });

const STORAGES: Readonly<Record<string, Dtype>> = {
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  DoubleStorage: 'F64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};
const INERT_NAMES = [
  'torch.device',
  'numpy.core.multiarray.scalar',
  'numpy._core.multiarray.scalar',
  'numpy.dtype',
  '_codecs.encode',
];

type Callable = (...args: unknown[]) => unknown;

/** What an object was built with: `[object, state]`, as `BUILD` is read; null for what has no state. */
export function stateOf(value: unknown): ReadonlyMap<unknown, unknown> | null {
  return Array.isArray(value) && value.length === 2 && value[1] instanceof Map ? value[1] : null;
}

/** A dictionary, with attributes of its own or without; null where the value is none. */
export function dictionary(value: unknown): ReadonlyMap<unknown, unknown> | null {
  const plain = Array.isArray(value) && value.length === 2 ? value[0] : value;
  return plain instanceof Map ? plain : null;
}

/** Pickles one after another in the same bytes, as old files have them. */
export class Unpickler {
  readonly #reader: GuardedReader;
  readonly #parser: Parser;
  readonly #storages = new Map<string, StorageRef>();
  readonly #names = new Map<string, Callable | Dtype>();
  #copied = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new GuardedReader(bytes);
    const copied = (items: unknown[]): unknown[] => {
      if ((this.#copied += items.length) > MOST_OPCODES) fail('its dictionaries are made from too long lists');
      return items;
    };
    const allow = (name: string, made: Callable): void => void this.#names.set(name, Object.freeze(made));
    allow('collections.OrderedDict', (items) => new Map(Array.isArray(items) ? copied(items).map(pair) : []));
    allow('torch._utils._rebuild_tensor_v2', tensor);
    allow('torch._utils._rebuild_tensor', tensor);
    allow('torch._utils._rebuild_parameter', (data) => data);
    allow('torch.Size', (size) => size);
    allow('argparse.Namespace', function namespace() {
      return INERT;
    });
    for (const name of INERT_NAMES) allow(name, () => INERT);
    for (const [name, dtype] of Object.entries(STORAGES)) this.#names.set(`torch.${name}`, dtype);
    this.#parser = new Parser({
      unpicklingTypeOfDictionary: 'Map',
      nameResolver: { resolve: (module, name) => this.#resolve(module, name) as Callable },
      persistentResolver: { resolve: (id) => this.#storage(id) },
      extensionResolver: { resolve: () => fail('it uses an extension code') },
    });
  }

  get position(): number {
    return this.#reader.position;
  }

  /** One that was named so far, whether or not by a tensor of use. */
  storage(key: string): StorageRef | undefined {
    return this.#storages.get(key);
  }

  /** @throws TesseraeError, to be read after the file's name */
  read(): unknown {
    try {
      return this.#parser.read(this.#reader);
    } catch (error) {
      if (error instanceof TesseraeError) throw error;
      // What the package says, or V8 of values that do not fit together.
      return fail(
        `its pickle is damaged (${String((error as Error).message)
          .replace(/\s+/g, ' ')
          .slice(0, 100)})`,
      );
    }
  }

  #resolve(module: unknown, name: unknown): unknown {
    if (!isText(module) || !isText(name)) fail('its pickle asks for something without a name');
    const full = `${module}.${name}`;
    return (
      this.#names.get(full) ??
      fail(
        `its pickle asks for ${quote(full)}, which is not allowed: it would run code. Save the state_dict alone, with torch.save(model.state_dict(), …)`,
      )
    );
  }

  #storage(id: unknown): StorageRef {
    const [tag, dtype, key, , numel, view] = Array.isArray(id) ? id.slice(0, 6) : [];
    if (tag === 'module') fail('it holds a whole module with its code, not a state_dict: save model.state_dict()');
    if (tag !== 'storage' || !isText(key) || !isCount(numel) || !isDtypeName(dtype)) fail('it names a damaged storage');
    if (view) fail('it holds views of storages as PyTorch before 0.4 wrote them: load and save it with a newer one');
    const known = this.#storages.get(key);
    if (known && (known.dtype !== dtype || known.numel !== numel)) fail(`it says two things of storage ${quote(key)}`);
    const made = known ?? new StorageRef(key, dtype, numel);
    this.#storages.set(key, made);
    return made;
  }
}

const tensor: Callable = (storage, offset, size, stride) => new TensorRef(storage, offset, size, stride);

function pair(item: unknown): [unknown, unknown] {
  return Array.isArray(item) && item.length === 2 ? [item[0], item[1]] : fail('an item of a dictionary is no pair');
}

/** Sees every opcode before it is carried out, and every piece of bytes before it is made. */
class GuardedReader extends BufferReader {
  readonly #bytes: Uint8Array;
  #opcode = 0;
  #before = 0;
  #isOpcode = false;
  #count = 0;

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.#bytes = bytes;
  }

  override hasNext(): boolean {
    if (!super.hasNext()) return false;
    if (!PUTS.has(this.#opcode)) this.#before = this.#opcode;
    this.#opcode = this.#bytes[this.position];
    if (!ALLOWED.has(this.#opcode))
      fail(
        `its pickle has opcode 0x${this.#opcode.toString(16)} at byte ${this.position}, which torch.save never writes`,
      );
    if (++this.#count > MOST_OPCODES) fail(`its pickle has more than ${MOST_OPCODES} opcodes`);
    // Arguments are put together just before the call: one long list could else be handed over again and again.
    if ((this.#opcode === REDUCE || this.#opcode === NEWOBJ) && !TUPLES.has(this.#before))
      fail(`its pickle calls something with arguments from elsewhere at byte ${this.position}`);
    this.#isOpcode = true;
    return true;
  }

  override byte(): number {
    const found = super.byte();
    const isBuild = this.#isOpcode && found === BUILD;
    this.#isOpcode = false;
    // What BUILD would set on an object stays beside it, and nothing is set on anything.
    return isBuild ? TUPLE2 : found;
  }

  override skip(count: number): void {
    // The package itself would step back for negative lengths, and go round in circles.
    if (!(count >= 0 && count <= this.length - this.position)) throw new RangeError(MORE_BYTES);
    super.skip(count);
  }

  override bytes(count: number): Uint8Array {
    const found = super.bytes(count) as Uint8Array;
    // Bytes are of no use here, and a view of the pickle itself could be written to.
    if (this.#opcode === BINBYTES || this.#opcode === SHORT_BINBYTES) return INERT as unknown as Uint8Array;
    // Integers beyond 2^48 are random seeds: the package would warn of their precision.
    return this.#opcode === LONG1 && count > 6 ? new Uint8Array(0) : found;
  }
}

/** Part of the message where the bytes end too early. */
export const MORE_BYTES = 'it ends in the middle';

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 200;
const isDtypeName = (value: unknown): value is Dtype => typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
/** For messages. Lists of lists of lists could take for ever to be written out. */
const quote = (value: unknown): string =>
  typeof value === 'string'
    ? JSON.stringify(value.slice(0, 100))
    : typeof value === 'object'
      ? 'something'
      : `${value}`;

/** Sizes or strides: a short list of counts, copied, as the pickle could change it later. */
function counts(value: unknown, what: string): number[] {
  const list = Array.isArray(value) && value.length <= 8 ? Array.from(value) : null;
  return list?.every(isCount) ? list : fail(`a tensor has damaged ${what}`);
}
