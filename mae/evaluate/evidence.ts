// What the features of a model in training are good for: nearest neighbours, a linear classifier, and how many directions they use. On
// training images and validation images; never on the test set.
import type { Engine } from '../../engine/engine.ts';
import { type Dataset, part } from '../data/dataset.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import { FeatureExtractor } from './features.ts';
import { knnOnHost } from './knn.ts';
import { effectiveRank } from './rank.ts';
import { ridgeTop1 } from './ridge.ts';

const KNN = { k: 20, temperature: 0.07 } as const;

interface EvidenceOptions {
  readonly train: Dataset;
  readonly val: Dataset;
  /** Of the training images, how many the classifiers learn from. */
  readonly images: number;
  /** Told of damaged images, which are left out. */
  readonly note?: (line: string) => void;
}

export class Evidence {
  readonly #extractor: FeatureExtractor;
  readonly #train: Dataset;
  readonly #val: Dataset;
  readonly #note: EvidenceOptions['note'];

  constructor(engine: Engine, model: MaskedAutoencoder, { train, val, images, note }: EvidenceOptions) {
    this.#extractor = new FeatureExtractor(engine, model, { mean: train.mean, std: train.std });
    this.#train = part(train, 0, Math.min(images, train.length));
    this.#val = val;
    this.#note = note;
  }

  /** In per cent of the validation images, by the mean over patches; without classes the rank alone. */
  async judge(): Promise<Record<string, number>> {
    const val = await this.#extractor.run(this.#val, { note: this.#note });
    const effective_rank = await effectiveRank(val.gap, val.dim);
    const classes = this.#train.classes?.length ?? 0;
    if (classes < 2) return { effective_rank };
    const train = await this.#extractor.run(this.#train, { note: this.#note });
    const [bank, queries] = [train, val].map(({ gap, labels }) => ({ x: gap, labels }));
    return {
      knn_top1: knnOnHost(bank, queries, val.dim, { ...KNN, classes }),
      linear_top1: await ridgeTop1(bank, queries, val.dim, classes),
      effective_rank,
    };
  }
}
