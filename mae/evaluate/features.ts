// Features of a frozen encoder: cls token and mean over patches of every image, nothing masked. Computed once and kept on disk, so that
// probes and their sweeps take seconds.
import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from '../../engine/engine.ts';
import { makeFolder, writeFileAtomic } from '../../engine/node/files.ts';
import { openSafetensorsFile } from '../../engine/node/opened.ts';
import { rawTensor, toFloat32, viewAs } from '../../engine/rawtensor.ts';
import { readHeader, readTensor } from '../../engine/safetensors.ts';
import { writeSafetensors } from '../../engine/safetensors-write.ts';
import { cacheDir } from '../data/cache.ts';
import { overReadable } from '../data/damage.ts';
import type { Dataset } from '../data/dataset.ts';
import { weakPlaces } from '../data/sampler.ts';
import type { FeatureModel } from '../model/features.ts';
import { Extractor } from './extract.ts';

const KINDS = ['cls', 'gap'] as const;
type FeatureKind = (typeof KINDS)[number];

export interface Features {
  /** (count, dim) each, in the order of the data set, without its damaged images */
  readonly cls: Float32Array;
  readonly gap: Float32Array;
  /** (count); -1 where unlabelled */
  readonly labels: Int32Array;
  readonly dim: number;
  readonly count: number;
}

interface FeatureOptions {
  /** What pretraining normalised with. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly batchSize?: number;
  /** A weak random view (crop and flip) of every image, by its number and `seed`; without, what `evaluationPlaces` shows of it. */
  readonly view?: { readonly seed: number; readonly number: number };
  readonly progress?: (done: number, count: number) => void;
  /** Told of damaged images, which are left out. */
  readonly note?: (line: string) => void;
}

/** Features of a model as its weights are at the moment, all in memory; buffers and plans serve every call. */
export class FeatureExtractor {
  readonly #model: FeatureModel;
  readonly #extractor: Extractor<FeatureKind>;

  constructor(engine: Engine, model: FeatureModel, { mean, std, batchSize }: FeatureOptions) {
    this.#model = model;
    this.#extractor = new Extractor(engine, model, { mean, std, batchSize, kinds: KINDS });
  }

  run(dataset: Dataset, options: Pick<FeatureOptions, 'view' | 'progress' | 'note'> = {}): Promise<Features> {
    return overReadable(dataset, options.note, (order) => this.#over(dataset, order, options));
  }

  async #over(
    dataset: Dataset,
    order: Uint32Array,
    { view, progress }: Pick<FeatureOptions, 'view' | 'progress'>,
  ): Promise<Features> {
    const { embed_dim: dim } = this.#model.config;
    const count = order.length;
    const features = { cls: new Float32Array(count * dim), gap: new Float32Array(count * dim) };
    const labels = new Int32Array(count);
    const place = view && weakPlaces(view.seed, view.number);
    for await (const batch of this.#extractor.over(dataset, order, place)) {
      labels.set(batch.labels, batch.first);
      for (const kind of KINDS) features[kind].set(batch.values[kind], batch.first * dim);
      progress?.(batch.first + batch.ids.length, count);
    }
    return { ...features, labels, dim, count };
  }
}

interface KeptOptions extends FeatureOptions {
  /** What the data set was opened from, and what lay there; with its name and length it tells sets apart. */
  readonly source: string;
  /** Whether to look for kept features, and to keep these. */
  readonly cache: boolean;
}

/** Features from the cache, or computed and put there. A damaged file is computed again. */
export async function keptFeatures(
  engine: Engine,
  model: FeatureModel,
  dataset: Dataset,
  options: KeptOptions,
): Promise<Features> {
  const { cache, note = () => {} } = options;
  const what = `features of ${dataset.length} images (${dataset.name}${options.view ? `, view ${options.view.number}` : ''})`;
  if (!cache) return new FeatureExtractor(engine, model, options).run(dataset, options);
  const path = join(cacheDir(), 'features', `${await keyOf(engine, model, dataset, options)}.safetensors`);
  const found = await readFeatures(path, dataset.length);
  if (found) {
    const without = dataset.length - found.count;
    note(`${what}: found in the cache${without ? `, without ${without} damaged images` : ''}`);
    return found;
  }
  const began = performance.now();
  const computed = await new FeatureExtractor(engine, model, options).run(dataset, options);
  const seconds = (performance.now() - began) / 1000;
  note(`${what}: computed, ${(dataset.length / seconds).toFixed(0)} images/s`);
  await makeFolder(join(cacheDir(), 'features'), 'features');
  const { cls, gap, labels, dim, count } = computed;
  const tensors = [
    ['cls', rawTensor('F32', [count, dim], cls)],
    ['gap', rawTensor('F32', [count, dim], gap)],
    ['labels', rawTensor('I32', [count], labels)],
  ] as const;
  await writeFileAtomic(path, writeSafetensors(tensors, {}));
  await forgetOldest(join(cacheDir(), 'features'), MOST_BYTES);
  return computed;
}

/** What kept features may take of the disk. */
const MOST_BYTES = 4 * 2 ** 30;

/** Removes the files that were written first until the others fit; the newest stays in any case. */
export async function forgetOldest(folder: string, most: number): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));
  const files = await Promise.all(
    names.map(async (name) => ({ path: join(folder, name), ...(await stat(join(folder, name))) })),
  );
  files.sort((a, b) => b.mtimeMs - a.mtimeMs);
  let sum = 0;
  for (const [i, { path, size }] of files.entries()) {
    sum += size;
    if (i > 0 && sum > most) await rm(path, { force: true });
  }
}

async function readFeatures(path: string, length: number): Promise<Features | null> {
  try {
    await using file = await openSafetensorsFile(path);
    const { tensors } = await readHeader(file, { requireChecksums: true });
    const read = async (name: string) => {
      const info = tensors.get(name);
      return info ? readTensor(file, info) : Promise.reject(new Error(`no ${name}`));
    };
    const [cls, gap, labels] = [await read('cls'), await read('gap'), await read('labels')];
    const [count, dim] = cls.shape;
    if (count > length) return null;
    return { cls: toFloat32(cls), gap: toFloat32(gap), labels: viewAs(labels, 'I32'), dim, count };
  } catch {
    return null;
  }
}

/** Everything that features depend on: weights, sizes, images, views, and the precision of products. */
async function keyOf(
  { precision }: Engine,
  model: FeatureModel,
  dataset: Dataset,
  { mean, std, view, source }: KeptOptions,
): Promise<string> {
  const hash = createHash('sha256');
  const { name, length } = dataset;
  const { config } = model;
  hash.update(JSON.stringify([5, config, precision, source, name, length, mean, std, view ?? null]));
  for (const [weight, data] of await model.parameters.read()) {
    if (/^(decoder_|mask_token)/.test(weight)) continue;
    hash.update(weight).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 32);
}
