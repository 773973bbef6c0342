// Small files in the formats that data comes in, as bytes: what tests of their readers begin with.
import sharp from 'sharp';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { Random } from '../../kernels/random/random.ts';

export const noise = (rng: Random, n: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: n }, () => rng.below(256)));

/** Big-endian sizes, then bytes. */
export function idx(sizes: readonly number[], data: Uint8Array): Buffer {
  const head = Buffer.alloc(4 + 4 * sizes.length);
  head.set([0, 0, 8, sizes.length]);
  for (const [i, size] of sizes.entries()) head.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([head, data]);
}

/** A ustar archive; `long` writes each name as a GNU long name or a pax record. */
export function tar(files: readonly (readonly [name: string, body: Uint8Array])[], long?: 'L' | 'x'): Buffer {
  const blocks: Uint8Array[] = [];
  const put = (name: string, body: Uint8Array, type: string): void => {
    const header = Buffer.alloc(512);
    header.write(name.slice(0, 100));
    header.write('0000644\0', 100);
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write(`        ${type}`, 148);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(header, body, new Uint8Array((512 - (body.length % 512)) % 512));
  };
  for (const [name, body] of files) {
    if (long === 'L') put('././@LongLink', Buffer.from(`${name}\0`), 'L');
    if (long === 'x') {
      const record = ` path=${name}\n`;
      let length = Buffer.byteLength(record);
      while (`${length}`.length + Buffer.byteLength(record) !== length)
        length = `${length}`.length + Buffer.byteLength(record);
      put('PaxHeaders/x', Buffer.from(`${length}${record}`), 'x');
    }
    put(long ? name.slice(0, 40) : name, body, '0');
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** numpy's format; `header` replaces the usual dictionary. */
export function npy(
  descr: string,
  shape: readonly number[],
  data: Uint8Array,
  { version = 1, header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')},), }` } = {},
): Buffer {
  const from = version === 1 ? 10 : 12;
  const text = `${header.padEnd(Math.ceil((from + header.length + 1) / 64) * 64 - from - 1)}\n`;
  const head = Buffer.alloc(from);
  head.write('\x93NUMPY', 'latin1');
  head[6] = version;
  if (version === 1) head.writeUInt16LE(text.length, 8);
  else head.writeUInt32LE(text.length, 8);
  return Buffer.concat([head, Buffer.from(text, 'latin1'), data]);
}

/** CIFAR records of random pixels; one label byte each, or two. */
export function cifarRecords(rng: Random, count: number, classes: readonly number[]): Buffer {
  const size = classes.length + 3072;
  const bytes = noise(rng, count * size);
  for (let r = 0; r < count; r++) for (const [k, n] of classes.entries()) bytes[r * size + k] = rng.below(n);
  return bytes;
}

/** A PNG of one colour, `value` in its red channel. */
export const png = (value: number, side = 4): Promise<Buffer> =>
  sharp({ create: { width: side, height: side, channels: 3, background: { r: value, g: 0, b: 255 - value } } })
    .png()
    .toBuffer();

/** As Hugging Face writes image sets: structs of bytes and path, labels whose names are in the metadata. */
export function parquet(
  images: readonly Uint8Array[],
  labels: readonly number[] | null,
  {
    names,
    rowGroupSize = 3,
    column = 'image',
    codec = 'SNAPPY' as 'SNAPPY' | 'UNCOMPRESSED',
  }: {
    names?: readonly string[];
    rowGroupSize?: number;
    column?: string;
    codec?: 'SNAPPY' | 'UNCOMPRESSED';
  } = {},
): Buffer {
  const features = { [column]: { _type: 'Image' }, label: { names, _type: 'ClassLabel' } };
  const info = JSON.stringify({ info: { features } });
  const data = images.map((bytes, i) => ({ bytes, path: `${i}.png` }));
  const buffer = parquetWriteBuffer({
    schema: [
      { name: 'root', num_children: labels ? 2 : 1 },
      { name: column, num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      ...(labels ? [{ name: 'label', type: 'INT64' as const, repetition_type: 'OPTIONAL' as const }] : []),
    ],
    columnData: [{ name: column, data }, ...(labels ? [{ name: 'label', data: labels.map(BigInt) }] : [])],
    rowGroupSize,
    codec,
    kvMetadata: names ? [{ key: 'huggingface', value: info }] : [],
  });
  return Buffer.from(buffer);
}

export const gzip = (bytes: Uint8Array): Buffer => gzipSync(bytes);
