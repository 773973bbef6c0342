// Features as safetensors: a tensor a column (count, …) and labels (count), ids and classes as JSON in the metadata. The header says where every tensor
// lies before the first row is known, so rows go to their places as they come.
import { layoutSafetensors } from '../../engine/safetensors-layout.ts';
import { bytesOf, type FeatureWriter, type Rows, type Table, type Target, widthOf } from './file.ts';

export async function writeSafetensorsRows(table: Table, target: Target): Promise<FeatureWriter> {
  const { count, columns, ids, classes, metadata } = table;
  const texts = {
    format: 'pt',
    ...metadata,
    ids: JSON.stringify(ids),
    ...(classes ? { classes: JSON.stringify(classes) } : {}),
  };
  const tensors = columns.map(({ name, shape }) => ({ name, dtype: 'F32' as const, shape: [count, ...shape] }));
  const labels = { name: 'labels', dtype: 'I32' as const, shape: [count] };
  const { head, offsets } = layoutSafetensors([...tensors, labels], texts);
  await target.write(head);
  const place = (name: string, width: number, data: Float32Array | Int32Array, first: number): Promise<void> =>
    target.writeAt((offsets.get(name) as number) + 4 * first * width, bytesOf(data));
  return {
    add: async ({ first, labels: classNumbers, values }: Rows): Promise<void> => {
      for (const column of columns) await place(column.name, widthOf(column), values[column.name], first);
      await place('labels', 1, classNumbers, first);
    },
    finish: async () => {},
  };
}
