// The pages of a column, looked through before the library decodes them: it believes their numbers, and a damaged one would have it allocate and count
// through billions of values.
import type { Compressors } from 'hyparquet';
import { fail } from '../../../engine/errors.ts';

/** Image files hardly pack at all, and labels are few. */
const MOST_RATIO = 256;
/** What a page may unpack to in any case. */
const SMALL = 2 ** 20;
/** Numbers of the encodings of the Parquet format whose values are runs: PLAIN_DICTIONARY, RLE, RLE_DICTIONARY. */
const RUNS = [2, 3, 8];

type Header = Readonly<Record<string, unknown>>;

interface Chunk {
  /** For messages. */
  readonly where: string;
  readonly bytes: ArrayBuffer;
  /** Byte of the file at which it begins. */
  readonly start: number;
  /** Of the row group: each has one value. */
  readonly rows: number;
  /** Bits of a definition level; 0 where the column and what it is in are required. */
  readonly levelBits: number;
  readonly codec: string;
}

/** Fails where a page cannot be what its header says. */
export async function checkPages(chunk: Chunk, compressors: Compressors): Promise<void> {
  const { deserializeTCompactProtocol } = await import('hyparquet/src/thrift.js');
  const { where, bytes, start, rows } = chunk;
  const length = bytes.byteLength;
  const reader = { view: new DataView(bytes), offset: 0 };
  let values = 0;
  // The same end as the library's: a byte that is left over is no page.
  while (reader.offset < length - 1) {
    const page = `${where}: the page at byte ${start + reader.offset}`;
    const header = deserializeTCompactProtocol(reader) as Header;
    const [unpacked, packed] = [Number(header.field_2), Number(header.field_3)];
    const [v1, dictionary, v2] = [header.field_5, header.field_7, header.field_8] as (Header | undefined)[];
    const count = Number((v1 ?? v2 ?? dictionary)?.field_1 ?? 0);
    // A field that is left out would stand still or go on from nowhere.
    const needed = v1 ? [1, 2, 3, 4] : v2 ? [1, 2, 3, 4, 5, 6] : dictionary ? [1, 2] : [];
    const missing = needed.find((field) => !Number.isInteger((v1 ?? v2 ?? dictionary)?.[`field_${field}`]));
    if (missing !== undefined) fail(`${page} has no field ${missing} in its header: it is damaged`);
    if (!(packed >= 0 && reader.offset + packed <= length))
      fail(`${page} says ${packed} bytes, its chunk has ${length}: it is cut or damaged`);
    if (!(unpacked >= 0 && unpacked <= Math.max(SMALL, MOST_RATIO * length)))
      fail(`${page} says that ${packed} bytes unpack to ${unpacked}: it is damaged`);
    if (v1 || v2) values += count;
    if (!(count >= 0 && values <= rows && count <= rows))
      fail(`${page} says ${count} values, the row group has ${rows} rows: it is damaged`);
    const body = new Uint8Array(bytes, reader.offset, packed);
    if (v1) checkV1(page, unpack(chunk, body, unpacked, compressors), v1, chunk.levelBits, count);
    else if (v2) checkV2(page, chunk, body, { header: v2, unpacked, compressors }, count);
    reader.offset += packed;
  }
  if (values !== rows) fail(`${where} has ${values} values in a row group of ${rows} rows: it is cut or damaged`);
}

function unpack({ codec }: Chunk, body: Uint8Array, length: number, compressors: Compressors): Uint8Array {
  if (codec === 'UNCOMPRESSED') return body;
  const codecs = compressors as Record<string, ((input: Uint8Array, length: number) => Uint8Array) | undefined>;
  const decompress = Object.hasOwn(codecs, codec) ? codecs[codec] : undefined;
  return decompress?.(body, length) ?? fail(`parquet: ${codec} is no codec that is known`);
}

/** Levels with their length in front, then values. */
function checkV1(
  page: string,
  body: Uint8Array,
  { field_2: encoding }: Header,
  levelBits: number,
  count: number,
): void {
  let at = 0;
  if (levelBits) {
    if (body.length < 4) fail(`${page} unpacks to ${body.length} bytes: it is damaged`);
    at = 4 + new DataView(body.buffer, body.byteOffset).getUint32(0, true);
    if (at > body.length) fail(`${page} has levels of ${at - 4} bytes in ${body.length}: it is damaged`);
    // Not to `at`: the library reads on until it has all levels.
    checkRuns(page, body.subarray(4), levelBits, count);
  }
  checkValues(page, body.subarray(at), encoding, count);
}

/** Levels as they are, their lengths in the header, then packed values. */
function checkV2(
  page: string,
  chunk: Chunk,
  body: Uint8Array,
  { header, unpacked, compressors }: { header: Header; unpacked: number; compressors: Compressors },
  count: number,
): void {
  const [nulls, levels, repeats] = [header.field_2, header.field_5, header.field_6].map((value) => Number(value ?? 0));
  if (
    !(
      nulls >= 0 &&
      nulls <= count &&
      levels >= 0 &&
      repeats >= 0 &&
      levels + repeats <= Math.min(body.length, unpacked)
    )
  )
    fail(`${page} has ${nulls} nulls and levels of ${levels} bytes in ${body.length}: it is damaged`);
  if (chunk.levelBits) checkRuns(page, body.subarray(repeats), chunk.levelBits, count);
  const rest = body.subarray(levels + repeats);
  const values = header.field_7 === false ? rest : unpack(chunk, rest, unpacked - levels - repeats, compressors);
  checkValues(page, values, header.field_4, count);
}

function checkValues(page: string, values: Uint8Array, encoding: unknown, count: number): void {
  // The first byte is the width of an index into the dictionary.
  if (RUNS.includes(Number(encoding)) && values.length) checkRuns(page, values.subarray(1), values[0], count);
}

/** Parquet's mixture of runs and packed groups of eight: none may have more values than there are. */
function checkRuns(page: string, bytes: Uint8Array, bits: number, count: number): void {
  if (bits > 32) fail(`${page} has values of ${bits} bits: it is damaged`);
  for (let at = 0, seen = 0; at < bytes.length && seen < count; ) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      header |= (byte & 0x7f) << shift;
      if (byte === undefined || !(byte & 0x80)) break;
    }
    const packed = header & 1;
    const values = packed ? (header >> 1) * 8 : header >>> 1;
    // The last group of eight is filled up.
    if (values < 0 || values > count - seen + (packed ? 7 + 8 * 63 : 0))
      fail(`${page} has a run of ${values} values, ${count - seen} are left: it is damaged`);
    at += packed ? (values / 8) * bits : Math.ceil(bits / 8);
    seen += values;
  }
}
