// What `torch.save` writes: a zip archive with a pickle and the tensors' bytes (since PyTorch 1.6), or pickles with the bytes behind them. The
// pickle is read whole, of the tensors only what is asked for. Checked against PyTorch's torch/serialization.py.
import { unzipRaw, type ZipEntry } from 'unzipit';
import { fail, TesseraeError } from '../../engine/errors.ts';
import { DTYPE_BYTES, type RawTensor, tensorBytes } from '../../engine/rawtensor.ts';
import type { ByteSource } from '../../engine/safetensors.ts';
import { dictionary, MORE_BYTES, stateOf, TensorRef, Unpickler } from './pickle.ts';
import { refuseOdd, type TensorFile } from './tensorfile.ts';

const ZIP = [0x50, 0x4b, 0x03, 0x04];
/** A pickle of the number 0x1950a86a20f9469cfc6c, with which files of before the archive begin. */
const LEGACY = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
const LEGACY_VERSION = 1001;
/** Pickles and directories of archives; ViT-H's with its optimizer has some 400 KB. */
const MOST_STRUCTURE = 32 << 20;
/** Of a legacy file: where its pickle surely ends, at first; doubled as long as it does not. */
const FIRST_HEAD = 1 << 20;

/** A storage's bytes. Where they begin in an archive only their own entry tells: it is read with them. */
interface Stored {
  readonly bytes: number;
  begin(): Promise<number>;
}
type Places = ReadonlyMap<string, Stored>;

/** Whether these first bytes are PyTorch's. */
export const isTorch = (head: Uint8Array): boolean =>
  [ZIP, LEGACY].some((magic) => magic.every((byte, i) => head[i] === byte));

/** @throws TesseraeError that names the file */
export async function torchFile(source: ByteSource): Promise<TensorFile> {
  const head = await source.read(0, Math.min(4, source.size));
  return whole(source, () => (ZIP.every((byte, i) => head[i] === byte) ? archive(source) : legacy(source)));
}

/** What packages say of a damaged file becomes ours, with its name. */
async function whole<T>(source: ByteSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof TesseraeError && message.startsWith(`${source.name}: `)) throw error;
    if (error instanceof TesseraeError) fail(`${source.name}: ${message}`);
    const said = String(message).replace(/\s+/g, ' ').slice(0, 150);
    return fail(`${source.name}: is damaged (${said}): download or copy it again`);
  }
}

async function archive(source: ByteSource): Promise<TensorFile> {
  const reader = new ArchiveReader(source);
  const { entries } = await unzipRaw(reader);
  const byName = new Map<string, ZipEntry>();
  for (const entry of entries) {
    if (byName.has(entry.name)) fail(`has two entries of the name ${JSON.stringify(entry.name.slice(0, 100))}`);
    byName.set(entry.name, entry);
  }
  const pickles = [...byName.keys()].filter((name) => /(^|\/)data\.pkl$/.test(name));
  if (pickles.length !== 1) fail(`is a zip archive with ${pickles.length} data.pkl, PyTorch's have one`);
  const root = pickles[0].slice(0, -'data.pkl'.length);
  if (byName.has(`${root}constants.pkl`)) fail('is a TorchScript program: save the state_dict with torch.save instead');
  const order = byName.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(await reader.whole(order)) !== 'little')
    fail('has big-endian numbers: load and save it on another machine');
  const pickle = byName.get(pickles[0]) as ZipEntry;
  const found = weightsIn(new Unpickler(await reader.whole(pickle)).read());
  const places = new Map<string, Stored>();
  for (const { storage } of found.tensors.values()) {
    const { key } = storage;
    const entry = byName.get(`${root}data/${key}`) ?? fail(`lacks the storage ${JSON.stringify(key)} of a tensor`);
    places.set(key, { bytes: reader.sizeOf(entry), begin: async () => (await reader.locate(entry)).offset });
  }
  return tensorFile(source, 'PyTorch zip archive', found, places);
}

/** An archive's bytes as unzipit asks for them. It hands out no positions of entries; a stored entry's are what its stream asks for. */
class ArchiveReader {
  readonly #source: ByteSource;
  #asked: { offset: number; bytes: number } | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async getLength(): Promise<number> {
    return this.#source.size;
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const { size } = this.#source;
    if (!(offset >= 0 && length >= 0 && offset + length <= size)) throw new Error('an entry passes its end');
    if (length > MOST_STRUCTURE) throw new Error(`a part of ${length} bytes, ${MOST_STRUCTURE} at most are read`);
    return (await this.#source.read(offset, length)) as Uint8Array<ArrayBuffer>;
  }

  async readStream(offset: number, bytes: number): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    this.#asked = { offset, bytes };
    return new ReadableStream();
  }

  /** Bytes of an entry, which lie in the file as they are. */
  sizeOf(entry: ZipEntry): number {
    if (entry.compressionMethod !== 0 || entry.encrypted)
      fail(
        `its entry ${JSON.stringify(entry.name.slice(0, 100))} is packed, torch.save never does that: unpack and save it again`,
      );
    if (entry.size > this.#source.size) throw new Error('an entry passes its end');
    return entry.size;
  }

  /** Where they lie, within the file. One entry at a time: what is asked for is told apart by nothing else. */
  locate(entry: ZipEntry): Promise<{ offset: number; bytes: number }> {
    const found = this.#last.then(() => this.#locate(entry));
    this.#last = found.catch(() => {});
    return found;
  }

  async #locate(entry: ZipEntry): Promise<{ offset: number; bytes: number }> {
    this.sizeOf(entry);
    this.#asked = null;
    await (await entry.stream()).cancel();
    const asked = this.#asked as { offset: number; bytes: number } | null;
    if (!asked || asked.offset + asked.bytes > this.#source.size) throw new Error('an entry passes its end');
    return asked;
  }

  async whole(entry: ZipEntry): Promise<Uint8Array> {
    const { offset, bytes } = await this.locate(entry);
    return this.read(offset, bytes);
  }
}

async function legacy(source: ByteSource): Promise<TensorFile> {
  for (let length = Math.min(FIRST_HEAD, source.size); ; length = Math.min(2 * length, source.size)) {
    const pickles = new Unpickler(await source.read(LEGACY.length, length - LEGACY.length));
    try {
      return await legacyFrom(source, pickles);
    } catch (error) {
      const short =
        (error as Error).message.includes(MORE_BYTES) || /end of (file|line)/.test((error as Error).message);
      if (!short || length === source.size) throw error;
      if (length >= MOST_STRUCTURE) fail(`its pickle has more than ${MOST_STRUCTURE} bytes`);
    }
  }
}

async function legacyFrom(source: ByteSource, pickles: Unpickler): Promise<TensorFile> {
  const version = pickles.read();
  // Lists of lists could take for ever to be written out.
  if (version !== LEGACY_VERSION)
    fail(`is of format ${typeof version === 'number' ? version : 'unknown'}, known is ${LEGACY_VERSION}`);
  if (dictionary(pickles.read())?.get('little_endian') === false)
    fail('has big-endian numbers: load and save it on another machine');
  const value = pickles.read();
  const keys = pickles.read();
  if (!Array.isArray(keys)) fail('has no list of storages');
  const places = new Map<string, Stored>();
  let at = LEGACY.length + pickles.position;
  for (const key of keys) {
    const field = await source.read(at, 8);
    if (field.length < 8) fail(`ends at byte ${source.size}, before the storage ${places.size + 1} of ${keys.length}`);
    const count = Number(new DataView(field.buffer, field.byteOffset).getBigUint64(0, true));
    const known = typeof key === 'string' ? pickles.storage(key) : undefined;
    if (!known || places.has(key)) fail('lists storages that no tensor has');
    if (count !== known.numel)
      fail(`storage ${JSON.stringify(key.slice(0, 40))} has ${count} elements, its tensors need ${known.numel}`);
    const bytes = count * DTYPE_BYTES[known.dtype];
    const begin = at + 8;
    places.set(key, { bytes, begin: async () => begin });
    at += 8 + bytes;
    if (at > source.size)
      fail(`storage ${JSON.stringify(key.slice(0, 40))} of ${bytes} bytes passes the end of the file`);
  }
  return tensorFile(source, 'PyTorch file of before version 1.6', weightsIn(value), places);
}

/** What of a file is the weights. */
interface Found {
  readonly tensors: ReadonlyMap<string, TensorRef>;
  readonly hints: ReadonlyMap<string, unknown>;
  readonly besides: readonly string[];
}

/** Names under which people put the weights; the first that holds tensors. Else the whole dictionary: beside a model lie states of generators, too. */
const MODELS = ['model', 'state_dict', 'model_state_dict', 'module', 'net', 'model_ema'];

function weightsIn(value: unknown): Found {
  const top = dictionary(value) ?? fail('holds no dictionary: save model.state_dict(), or a dictionary with it');
  const key = MODELS.find((name) => tensorsOf(top.get(name)).size > 0);
  const tensors = tensorsOf(key ? top.get(key) : top);
  const names = [...top.keys()].filter((name): name is string => typeof name === 'string');
  if (tensors.size === 0) {
    const keys = JSON.stringify(names.slice(0, 8)).slice(0, 200);
    fail(`holds no weights; its keys are ${keys}, weights are looked for under ${MODELS.join(', ')}`);
  }
  const others = names.filter((name) => name !== key).map((name) => name.slice(0, 80).replace(/[^\x20-\x7e]/g, '?'));
  const besides = key ? others : [];
  for (const name of tensors.keys()) refuseOdd(name);
  return { tensors, hints: plainValues(key ? top.get('args') : null), besides };
}

function tensorFile(
  source: ByteSource,
  container: string,
  { tensors: refs, ...found }: Found,
  places: Places,
): TensorFile {
  for (const [name, { storage }] of refs) {
    const { bytes } = places.get(storage.key) ?? fail(`lacks the storage of ${name}`);
    const needed = storage.numel * DTYPE_BYTES[storage.dtype];
    if (needed > bytes) fail(`the storage of ${name} has ${bytes} bytes, ${needed} are needed`);
  }
  const tensors = new Map([...refs].map(([name, { shape, storage }]) => [name, { shape, dtype: storage.dtype }]));
  const read = (name: string): Promise<RawTensor> =>
    readRef(source, name, refs.get(name) ?? fail(`${source.name}: has no tensor ${name}`), places);
  return { container, tensors, ...found, read };
}

function tensorsOf(value: unknown): Map<string, TensorRef> {
  const found = new Map<string, TensorRef>();
  for (const [name, tensor] of dictionary(value) ?? []) {
    if (tensor instanceof TensorRef && typeof name === 'string') found.set(name, tensor);
  }
  return found;
}

/** What a run's arguments say: a Namespace's state, or a dictionary. */
function plainValues(value: unknown): Map<string, unknown> {
  const plain = [...(stateOf(value) ?? dictionary(value) ?? [])].filter(
    ([key, found]) => typeof key === 'string' && ['string', 'number', 'boolean'].includes(typeof found),
  );
  return new Map(plain as [string, unknown][]);
}

/** The elements in row-major order. */
async function readRef(source: ByteSource, name: string, ref: TensorRef, places: Places): Promise<RawTensor> {
  const { shape, stride, storage } = ref;
  const { dtype } = storage;
  const width = DTYPE_BYTES[dtype];
  const total = tensorBytes(dtype, shape);
  const span = total === 0 ? 0 : width * (1 + shape.reduce((at, n, d) => at + (n - 1) * stride[d], 0));
  const stored = places.get(storage.key) ?? fail(`${source.name}: lacks the storage of ${name}`);
  const begin = await whole(source, () => stored.begin());
  const bytes = await source.read(begin + width * ref.offset, span);
  if (bytes.length !== span) fail(`${source.name}: ended while ${name} was read: try again`);
  if (isContiguous(shape, stride)) return { dtype, shape, data: bytes };
  const data = new Uint8Array(total);
  const index = shape.map(() => 0);
  for (let to = 0, from = 0; to < total; to += width) {
    for (let b = 0; b < width; b++) data[to + b] = bytes[from * width + b];
    for (let d = shape.length - 1; d >= 0; d--) {
      from += stride[d];
      if (++index[d] < shape[d]) break;
      from -= shape[d] * stride[d];
      index[d] = 0;
    }
  }
  return { dtype, shape, data };
}

function isContiguous(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && stride[d] !== expected) return false;
    expected *= shape[d];
  }
  return true;
}
