// The same images, rebuilt under the same masks whenever it is asked for: what a model makes of them sharpens as it trains.
import type { Engine, Program } from '../../engine/engine.ts';
import type { Plan } from '../../engine/plan.ts';
import { uniformNoise } from '../../engine/ops/masking.ts';
import { overReadable } from '../data/damage.ts';
import { type Dataset, evenly } from '../data/dataset.ts';
import { loadBatches } from '../data/loader.ts';
import { newCapacities } from '../data/pack.ts';
import { centrePlaces } from '../data/sampler.ts';
import { STREAM } from '../data/streams.ts';
import { patchesOf } from '../model/config.ts';
import type { MaskedAutoencoder } from '../model/model.ts';
import type { Picture } from '../render/picture.ts';
import { pasted, pixelsOf, rebuiltPixels, type Rebuilt, type View } from '../render/rebuilt.ts';
import { maskedTile, tileOf } from '../render/tiles.ts';
import { byKeep, type HeldoutOptions } from './heldout.ts';
import type { Preparer } from './prepare.ts';

export interface FixedImagesOptions extends HeldoutOptions {
  readonly count: number;
}

/** Of one image. */
export type Tiles = { readonly [K in 'original' | 'masked' | 'pasted']: Picture };

export class FixedImages {
  readonly #images: Dataset;
  readonly #model: MaskedAutoencoder;
  readonly #preparer: Preparer;
  readonly #engine: Engine;
  readonly #options: FixedImagesOptions;
  readonly #programs: (keep: number) => Program<{ ids: 'u32'; clock: 'u32' }, 'pred' | 'mask'>;

  constructor(
    engine: Engine,
    model: MaskedAutoencoder,
    preparer: Preparer,
    images: Dataset,
    options: FixedImagesOptions,
  ) {
    const { count, seed } = options;
    // A folder lists one class after the other: the first ones would be of one kind.
    this.#images = evenly(images, Math.min(count, images.length));
    this.#model = model;
    this.#preparer = preparer;
    this.#engine = engine;
    this.#options = options;
    this.#programs = byKeep((keep) =>
      engine.compile({ ids: 'u32', clock: 'u32' }, ({ ids, clock }, t) => {
        const noise = uniformNoise(ids, clock, patchesOf(model.config), seed, STREAM.heldout);
        const { pred, mask } = model.forward(t.use(preparer.images(ids.shape[0])), noise, keep);
        return { pred, mask };
      }),
    );
  }

  get images(): number {
    return this.#images.length;
  }

  /** What a batch of so many costs; allocates nothing. */
  plan(batch: number): Plan {
    return this.#programs(this.#options.keep()).plan({ ids: [batch], clock: [2] });
  }

  /** As the model sees them now, in batches of so many images at most. */
  async tiles(batchSize: number): Promise<Tiles[]> {
    const rebuilt = await overReadable(this.#images, this.#options.note, (order) => this.#rebuild(order, batchSize));
    const { config } = this.#model;
    const view: View = { config, mean: this.#images.mean, std: this.#images.std };
    return rebuilt.map((r) => {
      const original = pixelsOf(r.img, view);
      return {
        original: tileOf(original, config),
        masked: maskedTile(original, r.mask, config),
        pasted: tileOf(pasted(original, rebuiltPixels(r, view), r.mask, config), config),
      };
    });
  }

  async #rebuild(order: Uint32Array, batchSize: number): Promise<Rebuilt[]> {
    const { config } = this.#model;
    const [height, width] = config.img_size;
    const output = { chans: config.in_chans, height, width };
    const place = centrePlaces(output);
    const found: Rebuilt[] = [];
    const program = this.#programs(this.#options.keep());
    const options = { order, batchSize, place, output, capacities: newCapacities() };
    for await (const batch of loadBatches(this.#images, options)) {
      const size = batch.ids.length;
      await this.#preparer.run(batch);
      const inputs = { ids: { data: batch.ids, shape: [size] }, clock: { data: new Uint32Array(2), shape: [2] } };
      const { pred, mask } = await (await program.run(inputs)).read();
      const img = await this.#engine.read(this.#preparer.images(size));
      const nth = (data: ArrayLike<number>, i: number): Float32Array =>
        Float32Array.from(data).subarray((i * data.length) / size, ((i + 1) * data.length) / size);
      for (let i = 0; i < size; i++) found.push({ img: nth(img, i), pred: nth(pred, i), mask: nth(mask, i) });
    }
    return found;
  }
}
