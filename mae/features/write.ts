// Features of a whole set of images into a file, batch by batch: whole or not there.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { AtomicFile } from '../../engine/node/atomic-file.ts';
import { overReadable } from '../data/damage.ts';
import type { Dataset } from '../data/dataset.ts';
import { Extractor } from '../evaluate/extract.ts';
import { patchesOf } from '../model/config.ts';
import { type Feature, type FeatureModel, featureShape } from '../model/features.ts';
import { type FeatureWriter, type Kind, kindOf, type Table } from './file.ts';

export interface FeatureFileOptions {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly kinds: readonly Feature[];
  readonly layer?: number;
  readonly batchSize: number;
  /** What the file says of its making, beside layer, sizes and normalisation. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly progress?: (done: number, count: number) => void;
  /** Told of damaged images, which are left out. */
  readonly note?: (line: string) => void;
  /** Ends the work; nothing is kept then. */
  readonly stop?: AbortSignal;
}

interface WrittenFeatures {
  readonly table: Table;
  /** Files by their bytes. */
  readonly files: ReadonlyMap<string, number>;
}

/** The name of the table beside an .npy file. */
const besideNpy = (path: string): string => path.replace(/\.npy$/i, '.csv');

/** null where it was stopped. @throws FileError, and where the set has too many damaged images */
export function writeFeatures(
  engine: Engine,
  model: FeatureModel,
  dataset: Dataset,
  path: string,
  options: FeatureFileOptions,
): Promise<WrittenFeatures | null> {
  const kind = kindOf(path);
  if (!dataset.length) fail(`features: ${dataset.name} has no images`);
  const { mean, std, kinds, layer, batchSize, note } = options;
  const extractor = new Extractor(engine, model, { mean, std, kinds, layer, batchSize });
  return overReadable(dataset, note, (order) => writeOrder(extractor, model, dataset, path, kind, order, options));
}

async function writeOrder(
  extractor: Extractor<Feature>,
  model: FeatureModel,
  dataset: Dataset,
  path: string,
  kind: Kind,
  order: Uint32Array,
  options: FeatureFileOptions,
): Promise<WrittenFeatures | null> {
  const table = tableOf(model, dataset, order, options);
  await using file = await AtomicFile.create(path);
  await using beside = kind === 'npy' ? await AtomicFile.create(besideNpy(path)) : null;
  const writer = await open(kind, table, file, beside);
  for await (const rows of extractor.over(dataset, order)) {
    if (options.stop?.aborted) return null;
    await writer.add(rows);
    options.progress?.(rows.first + rows.ids.length, table.count);
  }
  await writer.finish();
  await beside?.commit();
  await file.commit();
  const files = [file, ...(beside ? [beside] : [])].map((each) => [each.path, each.length] as const);
  return { table, files: new Map(files) };
}

function tableOf(
  { config }: FeatureModel,
  dataset: Dataset,
  order: Uint32Array,
  { mean, std, kinds, layer, metadata }: FeatureFileOptions,
): Table {
  const shapes = kinds.map((name) => ({ name, shape: featureShape(name, config.embed_dim, patchesOf(config)) }));
  return {
    count: order.length,
    columns: shapes,
    ids: Array.from(order, (index) => dataset.id?.(index) ?? String(index)),
    classes: dataset.classes,
    metadata: {
      ...metadata,
      data: dataset.name,
      layer: layer === undefined ? `${config.depth}, after the final norm` : String(layer),
      image_size: JSON.stringify(config.img_size),
      image_mean: JSON.stringify(mean),
      image_std: JSON.stringify(std),
      config: JSON.stringify(config),
    },
  };
}

async function open(kind: Kind, table: Table, file: AtomicFile, beside: AtomicFile | null): Promise<FeatureWriter> {
  if (kind === 'npy') return (await import('./npy.ts')).writeNpyRows(table, file, beside as AtomicFile);
  if (kind === 'parquet') return (await import('./parquet.ts')).writeParquetRows(table, file);
  return (await import('./safetensors.ts')).writeSafetensorsRows(table, file);
}
