// Features as numpy's .npy: one array (count, …) of little-endian f32; what the rows are goes into a table of text beside it.
import { fail } from '../../engine/errors.ts';
import { bytesOf, type FeatureWriter, type Rows, type Table, type Target } from './file.ts';

/** @param beside takes lines `id,label,class` under their heading, as CSV */
export async function writeNpyRows(
  { count, columns, ids, classes }: Table,
  target: Target,
  beside: Target,
): Promise<FeatureWriter> {
  if (columns.length !== 1)
    fail(
      `npy: a file holds one array, not ${columns.map(({ name }) => name).join(' and ')}: choose one, or write .safetensors`,
    );
  const [{ name, shape }] = columns;
  await target.write(header([count, ...shape]));
  const text = (lines: readonly string[]): Promise<void> =>
    beside.write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join('')));
  await text(['id,label,class']);
  return {
    add: async ({ first, labels, values }: Rows): Promise<void> => {
      await target.write(bytesOf(values[name]));
      await text(
        Array.from(labels, (label, i) => [ids[first + i], String(label), classes?.[label] ?? ''].map(quoted).join(',')),
      );
    },
    finish: async () => {},
  };
}

/** Version 1.0, padded so that the values begin at a multiple of 64. */
function header(shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${sizes}), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64;
  const bytes = new Uint8Array(length).fill(0x20);
  bytes.set([0x93, ...new TextEncoder().encode('NUMPY'), 1, 0]);
  new DataView(bytes.buffer).setUint16(8, length - 10, true);
  bytes.set(new TextEncoder().encode(dictionary), 10);
  bytes[length - 1] = 0x0a;
  return bytes;
}

/** RFC 4180. */
const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
