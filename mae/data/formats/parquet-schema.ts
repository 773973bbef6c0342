// What a parquet file says of itself: its columns of images and labels, its row groups, checked against the file's size; and files of one column in one row group.
import type { ColumnChunk, FileMetaData, SchemaElement } from 'hyparquet';
import { fail } from '../../../engine/errors.ts';

export interface Columns {
  readonly image: string;
  /** Whether images are structs with their bytes in a field. */
  readonly struct: boolean;
  readonly label: string | null;
  readonly names: readonly string[] | null;
}

export interface Group {
  readonly first: number;
  readonly rows: number;
  /** Bytes of the images, packed. */
  readonly bytes: number;
}

/** Which columns are the images and their labels: what the Hugging Face features in the file say, else the usual names. */
export function columnsOf(path: string, metadata: FileMetaData, label: string | undefined): Columns {
  const tops = topColumns(metadata.schema);
  const all = [...tops.keys()];
  const features = featuresOf(metadata);
  const kindOf = (name: string): unknown => features.get(name)?._type;
  const image =
    all.find((name) => kindOf(name) === 'Image') ?? all.find((name) => /^(image|img|jpg|png|webp)$/i.test(name));
  if (image === undefined) fail(`parquet: ${path} has the columns ${all.join(', ')}: none is called image or img`);
  const fields = tops.get(image)!;
  const struct = fields.length > 0;
  if (struct && !fields.some(({ name, type }) => name === 'bytes' && type === 'BYTE_ARRAY'))
    fail(`parquet: ${path}: column ${image} has no field bytes: it holds paths, not the images themselves`);
  const found =
    label ??
    all.find((name) => kindOf(name) === 'ClassLabel') ??
    all.find((name) => /^(label|labels|fine_label|class|cls|y)$/i.test(name) && !tops.get(name)!.length);
  if (found !== undefined && (!tops.has(found) || tops.get(found)!.length))
    fail(`parquet: ${path} has no column ${found} of labels, it has ${all.join(', ')}`);
  const names = found === undefined ? undefined : features.get(found)?.names;
  const good = Array.isArray(names) && names.every((name) => typeof name === 'string');
  return { image, struct, label: found ?? null, names: good ? (names as string[]) : null };
}

/** Columns of the first level, each with the fields below it (none of a plain column). */
function topColumns([root, ...elements]: readonly SchemaElement[]): Map<string, SchemaElement[]> {
  const tops = new Map<string, SchemaElement[]>();
  let at = 0;
  for (let k = 0; k < (root?.num_children ?? 0) && at < elements.length; k++) {
    const element = elements[at++];
    const below: SchemaElement[] = [];
    for (let left = element.num_children ?? 0; left > 0 && at < elements.length; left--) {
      below.push(elements[at]);
      left += elements[at++].num_children ?? 0;
    }
    tops.set(element.name, below);
  }
  return tops;
}

interface Feature {
  readonly _type?: unknown;
  readonly names?: unknown;
}

/** What `datasets` writes beside the schema. Damage in it is as good as nothing there. */
function featuresOf({ key_value_metadata }: FileMetaData): Map<string, Feature> {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  try {
    const features = JSON.parse(text ?? 'null')?.info?.features;
    if (typeof features !== 'object' || features === null) return new Map();
    return new Map(Object.entries(features).filter(([, f]) => typeof f === 'object' && f !== null)) as Map<
      string,
      Feature
    >;
  } catch {
    return new Map();
  }
}

/** Row groups with their places, checked against the file's size. */
export function groupsOf(
  path: string,
  { row_groups, num_rows }: FileMetaData,
  size: number,
  { image }: Columns,
): Group[] {
  let first = 0;
  const groups = row_groups.map(({ num_rows: count, columns }, g): Group => {
    const rows = Number(count);
    let bytes = 0;
    for (const chunk of columns) {
      const { start, length: packed } = placeOf(chunk);
      if (!(packed >= 0 && start >= 4 && start + packed <= size))
        fail(
          `parquet: ${path}: row group ${g} has bytes ${start} to ${start + packed}, the file has ${size}: it is cut or damaged`,
        );
      if (chunk.meta_data?.path_in_schema[0] === image) bytes += packed;
    }
    // A row has an image; more rows than bytes in the file are a lie.
    if (!(Number.isSafeInteger(rows) && rows >= 0 && rows <= size))
      fail(`parquet: ${path}: row group ${g} says ${rows} rows in a file of ${size} bytes: it is damaged`);
    first += rows;
    return { first: first - rows, rows, bytes };
  });
  if (first !== Number(num_rows))
    fail(`parquet: ${path} says ${num_rows} rows, its row groups ${first}: it is damaged`);
  if (first === 0) fail(`parquet: ${path} has no rows`);
  return groups;
}

/**
 * A file of one column in one row group. The library reads columns side by side; when one is damaged, the failures of the others are nobody's and
 * would end the process.
 */
export function narrowed(metadata: FileMetaData, leaf: readonly string[], g: number): FileMetaData {
  const group = metadata.row_groups[g];
  const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema.join('\0') === leaf.join('\0'));
  if (!chunk) throw new Error(`row group ${g} has no column ${leaf.join('.')}`);
  const [root, ...elements] = metadata.schema;
  const top = elements.findIndex(({ name }) => name === leaf[0]);
  const end = leaf.length > 1 ? elements.findIndex(({ name }, i) => i > top && name === leaf[1]) : top;
  const schema = [{ ...root, num_children: 1 }, { ...elements[top] }];
  if (end !== top) schema[1].num_children = 1;
  if (end !== top) schema.push(elements[end]);
  return { ...metadata, schema, num_rows: group.num_rows, row_groups: [{ ...group, columns: [chunk] }] };
}

/** Bits of a definition level of the column that the schema goes down to. Lists are refused: a row has one image and one label. */
export function levelBits([, ...path]: readonly SchemaElement[]): number {
  const list = path.find(({ repetition_type }) => repetition_type === 'REPEATED');
  if (list) throw new Error(`${list.name} is a list`);
  return 32 - Math.clz32(path.filter(({ repetition_type }) => repetition_type === 'OPTIONAL').length);
}

/** Where a chunk's pages lie in the file. */
export function placeOf({ meta_data }: ColumnChunk): { start: number; length: number } {
  const start = Number(meta_data?.dictionary_page_offset || meta_data?.data_page_offset);
  return { start, length: Number(meta_data?.total_compressed_size) };
}
