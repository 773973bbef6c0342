// A frozen encoder over a set of images: batch after batch, in order, with no more in memory than a few of them.
import type { Engine, Program } from '../../engine/engine.ts';
import { withChannels } from '../data/channels.ts';
import type { Dataset } from '../data/dataset.ts';
import { loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { evaluationPlaces, type Place } from '../data/sampler.ts';
import { type Feature, type FeatureModel, featuresOf } from '../model/features.ts';
import { Preparer } from '../train/prepare.ts';
import { fittingBatch } from './fitting.ts';

/** Which features are taken, of images normalised by which statistics. */
export interface ExtractorOptions<K extends Feature> {
  /** What pretraining normalised with. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly kinds: readonly K[];
  /** Blocks before the features are taken; all, and the final norm, unless said. */
  readonly layer?: number;
  /** Images at a time, or as many as the device binds; 256 unless said. */
  readonly batchSize?: number;
}

/** Features of one batch. */
export interface Extracted<K extends Feature> {
  /** Place of the first image in the order. */
  readonly first: number;
  /** Indices into the set. */
  readonly ids: Uint32Array;
  /** -1 where unlabelled */
  readonly labels: Int32Array;
  /** One row an image. */
  readonly values: Readonly<Record<K, Float32Array>>;
}

/** Results that may wait on the device. */
const IN_FLIGHT = 2;

/** Features of a model as its weights are at the moment; its buffers and plans serve every call. */
export class Extractor<K extends Feature> {
  readonly #engine: Engine;
  readonly #model: FeatureModel;
  readonly #options: ExtractorOptions<K>;
  readonly #batchSize: number;
  readonly #preparer: Preparer;
  readonly #capacities = newCapacities();
  readonly #programs = new Map<number, Program<Record<never, never>, K>>();

  constructor(engine: Engine, model: FeatureModel, options: ExtractorOptions<K>) {
    this.#engine = engine;
    this.#model = model;
    this.#options = options;
    this.#batchSize = fittingBatch(engine, model.config, options.batchSize ?? 256);
    this.#preparer = new Preparer(engine, model.config, options);
  }

  /** Of the images of these indices, of all unless said; `place` says what part of each is seen, `evaluationPlaces` unless said. */
  async *over(
    dataset: Dataset,
    order: Uint32Array = Uint32Array.from({ length: dataset.length }, (_, i) => i),
    place?: Place,
  ): AsyncGenerator<Extracted<K>, void, undefined> {
    const { img_size, in_chans: chans } = this.#model.config;
    const output = { chans, height: img_size[0], width: img_size[1] };
    const batchSize = this.#batchSize;
    const seen = place ?? evaluationPlaces(output);
    const loading = { order, batchSize, place: seen, output, capacities: this.#capacities };
    const waiting: Promise<Extracted<K>>[] = [];
    try {
      for await (const batch of loadBatches(withChannels(dataset, chans), loading)) {
        const { ids, labels, index } = batch;
        await this.#preparer.run(batch);
        const results = await this.#program(ids.length).run({});
        const arrived = results.read().then((values) => {
          return { first: index * batchSize, ids, labels, values: values as Record<K, Float32Array> };
        });
        // Awaited below, perhaps later: until then a failure is not an unhandled one.
        arrived.catch(() => {});
        waiting.push(arrived);
        if (waiting.length > IN_FLIGHT) yield (await waiting.shift()) as Extracted<K>;
      }
      for (let arrived = waiting.shift(); arrived; arrived = waiting.shift()) yield await arrived;
    } finally {
      // Of one who stops early: nothing still comes from the device.
      await Promise.allSettled(waiting);
    }
  }

  #program(batch: number): Program<Record<never, never>, K> {
    const { kinds, layer } = this.#options;
    const images = this.#preparer.images(batch);
    const made =
      this.#programs.get(batch) ??
      this.#engine.compile({}, (_, t) => featuresOf(this.#model, t.use(images), kinds, layer));
    this.#programs.set(batch, made);
    return made;
  }
}
