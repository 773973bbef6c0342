// A classifier on a set of images: what it takes every image for, and how often that is right.
import type { Engine, Program } from '../../engine/engine.ts';
import { overReadable } from '../data/damage.ts';
import type { Dataset } from '../data/dataset.ts';
import { loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { evaluationPlaces } from '../data/sampler.ts';
import { fittingBatch } from '../evaluate/fitting.ts';
import { type Metrics, Tally } from '../evaluate/metrics.ts';
import type { Classifier } from '../model/classifier.ts';
import { Preparer } from '../train/prepare.ts';

interface JudgeOptions {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Fewer where the device binds no more. */
  readonly batchSize: number;
  /** Part of the resized short side that is kept; `cropPart` unless said. 1: the whole centre. */
  readonly cropPct?: number;
  readonly progress?: (done: number, count: number) => void;
  /** Told of damaged images, which are left out. */
  readonly note?: (line: string) => void;
}

export class Judge {
  readonly #engine: Engine;
  readonly #classifier: Classifier;
  readonly #options: JudgeOptions;
  readonly #preparer: Preparer;
  readonly #programs = new Map<number, Program<Record<never, never>, 'logits'>>();

  constructor(engine: Engine, classifier: Classifier, options: JudgeOptions) {
    this.#engine = engine;
    this.#classifier = classifier;
    const batchSize = fittingBatch(engine, classifier.config, options.batchSize);
    this.#options = { ...options, batchSize };
    this.#preparer = new Preparer(engine, classifier.config, options);
  }

  /** Calls `each` with the logits (images, classes) of every batch, in `order`. */
  async run(
    dataset: Dataset,
    each: (logits: Float32Array, labels: Int32Array) => void,
    order: Uint32Array = Uint32Array.from({ length: dataset.length }, (_, i) => i),
  ): Promise<void> {
    const { batchSize, cropPct, progress } = this.#options;
    const { img_size, in_chans: chans } = this.#classifier.config;
    const output = { chans, height: img_size[0], width: img_size[1] };
    const place = evaluationPlaces(output, cropPct);
    const loading = { order, batchSize, place, output, capacities: newCapacities() };
    const waiting: Promise<void>[] = [];
    let done = 0;
    for await (const batch of loadBatches(dataset, loading)) {
      await this.#preparer.run(batch);
      const results = await this.#program(batch.ids.length).run({});
      const arrived = results.read().then(({ logits }) => {
        each(logits as Float32Array, batch.labels);
        done += batch.ids.length;
        progress?.(done, order.length);
      });
      arrived.catch(() => {});
      waiting.push(arrived);
      if (waiting.length > 2) await waiting.shift();
    }
    await Promise.all(waiting);
  }

  metrics(dataset: Dataset): Promise<Metrics> {
    return overReadable(dataset, this.#options.note, async (order) => {
      const tally = new Tally(this.#classifier.config.nb_classes);
      await this.run(dataset, (logits, labels) => tally.add(logits, labels), order);
      return tally.metrics;
    });
  }

  #program(batch: number): Program<Record<never, never>, 'logits'> {
    const made =
      this.#programs.get(batch) ??
      this.#engine.compile({}, (_, t) => ({
        logits: this.#classifier.forward(t.use(this.#preparer.images(batch))).logits,
      }));
    this.#programs.set(batch, made);
    return made;
  }
}
