// Masked loss on images that training never sees, under masks that never change: the number that says whether it learns.
import type { Engine, Program } from '../../engine/engine.ts';
import { uniformNoise } from '../../engine/ops/masking.ts';
import type { Plan } from '../../engine/plan.ts';
import { overReadable } from '../data/damage.ts';
import type { Dataset } from '../data/dataset.ts';
import { loadBatches } from '../data/loader.ts';
import { newCapacities, type PackTo } from '../data/pack.ts';
import { centrePlaces } from '../data/sampler.ts';
import { STREAM } from '../data/streams.ts';
import { patchesOf } from '../model/config.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import type { Preparer } from './prepare.ts';

/** How held-out images are masked. */
export interface HeldoutOptions {
  /** Patches that stay, of every image: as it is at each call. */
  readonly keep: () => number;
  readonly seed: number;
  /** Told of damaged images, which are left out. */
  readonly note?: (line: string) => void;
}

/** The same masks for every call and every run of a seed: noise keyed by the sample's number alone. */
export class Heldout {
  readonly #dataset: Dataset;
  readonly #options: HeldoutOptions;
  readonly #preparer: Preparer;
  readonly #output: PackTo;
  readonly #capacities = newCapacities();
  readonly #programs: (keep: number) => Program<{ ids: 'u32'; clock: 'u32' }, 'loss'>;

  constructor(engine: Engine, model: MaskedAutoencoder, preparer: Preparer, dataset: Dataset, options: HeldoutOptions) {
    this.#dataset = dataset;
    this.#options = options;
    this.#preparer = preparer;
    const [height, width] = model.config.img_size;
    this.#output = { chans: model.config.in_chans, height, width };
    const patches = patchesOf(model.config);
    this.#programs = byKeep((keep) =>
      engine.compile({ ids: 'u32', clock: 'u32' }, ({ ids, clock }, t) => {
        const img = t.use(preparer.images(ids.shape[0]));
        const noise = uniformNoise(ids, clock, patches, options.seed, STREAM.heldout);
        return { loss: model.forward(img, noise, keep).loss };
      }),
    );
  }

  /** How many there are, damaged ones included. */
  get images(): number {
    return this.#dataset.length;
  }

  /** What the loss of a batch of so many costs; allocates nothing. */
  plan(batch: number): Plan {
    return this.#programs(this.#options.keep()).plan({ ids: [batch], clock: [2] });
  }

  /** Mean over all held-out images; the last, shorter batch counts by its size. */
  loss(batchSize: number): Promise<number> {
    return overReadable(this.#dataset, this.#options.note, (order) => this.#over(order, batchSize));
  }

  async #over(order: Uint32Array, batchSize: number): Promise<number> {
    const clock = { data: new Uint32Array(2), shape: [2] };
    const losses: Promise<number>[] = [];
    const output = this.#output;
    const program = this.#programs(this.#options.keep());
    const place = centrePlaces(output);
    for await (const batch of loadBatches(this.#dataset, {
      order,
      batchSize,
      place,
      output,
      capacities: this.#capacities,
    })) {
      const size = batch.ids.length;
      await this.#preparer.run(batch);
      const results = await program.run({ ids: { data: batch.ids, shape: [size] }, clock });
      losses.push(results.read().then(({ loss }) => loss[0] * size));
    }
    return (await Promise.all(losses)).reduce((sum, loss) => sum + loss, 0) / order.length;
  }
}

/** Programs by the number of patches that stay, each made once. */
export function byKeep<P>(make: (keep: number) => P): (keep: number) => P {
  const made = new Map<number, P>();
  return (keep) => {
    const program = made.get(keep) ?? make(keep);
    made.set(keep, program);
    return program;
  };
}
