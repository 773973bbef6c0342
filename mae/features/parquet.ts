// Features as Parquet: a row an image, with its id, label and class, and a list of floats a column. Row groups are written as they fill.
import type { SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { bytesOf, type FeatureWriter, type Rows, type Table, type Target, widthOf } from './file.ts';

/** Elements of a row group: what is in memory until it is written, some 30 bytes each. */
const GROUP = 2 ** 20;

/** The library's buffer, emptied into the target whenever a row group has ended. */
class TargetWriter extends ByteWriter {
  readonly #target: Target;
  constructor(target: Target) {
    super();
    this.#target = target;
  }
  async flush(): Promise<void> {
    const bytes = this.getBytes().slice();
    this.index = 0;
    await this.#target.write(bytes);
  }
}

export async function writeParquetRows(table: Table, target: Target): Promise<FeatureWriter> {
  const { columns, ids, classes, metadata } = table;
  const writer = new TargetWriter(target);
  const shapes = Object.fromEntries(columns.map(({ name, shape }) => [`shape.${name}`, JSON.stringify(shape)]));
  const texts: Record<string, string> = {
    ...metadata,
    ...shapes,
    ...(classes ? { classes: JSON.stringify(classes) } : {}),
  };
  const file = new ParquetWriter({
    writer,
    schema: schemaOf(table),
    codec: 'UNCOMPRESSED',
    statistics: false,
    kvMetadata: Object.entries(texts).map(([key, value]) => ({ key, value })),
    createdBy: 'tesserae',
  });
  const perRow = columns.reduce((sum, column) => sum + widthOf(column), 0);
  const rowsPerGroup = Math.max(1, Math.floor(GROUP / perRow));
  let waiting: { id: string; label: number; lists: number[][] }[] = [];

  const write = async (): Promise<void> => {
    const group = waiting;
    waiting = [];
    if (!group.length) return;
    const labels = group.map(({ label }) => label);
    const named = classes ? [{ name: 'class', data: labels.map((label) => classes[label] ?? '') }] : [];
    const lists = columns.map(({ name }, c) => ({
      name,
      data: group.map((row) => row.lists[c]),
      encoding: 'PLAIN' as const,
    }));
    const columnData = [
      { name: 'id', data: group.map(({ id }) => id) },
      { name: 'label', data: labels },
      ...named,
      ...lists,
    ];
    await file.write({ columnData, rowGroupSize: group.length });
  };

  return {
    add: async ({ first, labels, values }: Rows): Promise<void> => {
      for (const [i, label] of labels.entries()) {
        const lists = columns.map((column) => {
          const width = widthOf(column);
          return Array.from(values[column.name].subarray(i * width, (i + 1) * width));
        });
        waiting.push({ id: ids[first + i], label, lists });
        if (waiting.length >= rowsPerGroup) await write();
      }
    },
    finish: async () => {
      await write();
      await file.finish();
      await target.write(bytesOf(writer.getBytes()));
    },
  };
}

function schemaOf({ columns, classes }: Table): SchemaElement[] {
  const text = (name: string): SchemaElement => ({
    name,
    type: 'BYTE_ARRAY',
    converted_type: 'UTF8',
    repetition_type: 'REQUIRED',
  });
  const fixed: SchemaElement[] = [text('id'), { name: 'label', type: 'INT32', repetition_type: 'REQUIRED' }];
  if (classes) fixed.push(text('class'));
  const list = (name: string): SchemaElement[] => [
    { name, repetition_type: 'REQUIRED', num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
  ];
  return [
    { name: 'schema', num_children: fixed.length + columns.length },
    ...fixed,
    ...columns.flatMap(({ name }) => list(name)),
  ];
}
