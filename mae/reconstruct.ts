// Lets a model rebuild images from the patches that masks leave: what panels, sheets and animations show.
import type { Engine, Program } from '../engine/engine.ts';
import type { Variable } from '../engine/tensor.ts';
import { withChannels } from './data/channels.ts';
import type { Dataset } from './data/dataset.ts';
import { loadBatches } from './data/loader.ts';
import { newCapacities } from './data/pack.ts';
import { centrePlaces } from './data/sampler.ts';
import { type ChosenMask, noiseFor } from './model/chosen-masks.ts';
import { lenKeep, patchesOf } from './model/config.ts';
import { noiseOf } from './model/masks.ts';
import type { MaskedAutoencoder } from './model/model.ts';
import type { Prediction, Rebuilt } from './render/rebuilt.ts';
import { Preparer } from './train/prepare.ts';

/** What a model predicts of an image under one mask. */
export interface Pass extends Prediction {
  /** Mean squared (or absolute) error over the removed patches, as in training. */
  readonly loss: number;
}

/** An image with what the model made of it under each of its masks. */
export interface Passes {
  /** Number within the set. */
  readonly id: number;
  /** (C, H, W), normalised by mean and std as the model saw it. */
  readonly img: Float32Array;
  readonly passes: readonly Pass[];
}

/** A model's passes over the image in a variable (1, C, H, W): a program for every number of kept patches, made when it is first needed. */
export class Rebuilder {
  readonly #engine: Engine;
  readonly #model: MaskedAutoencoder;
  readonly #img: Variable;
  readonly #programs = new Map<number, Program<{ noise: 'f32' }, 'pred' | 'mask' | 'loss'>>();

  constructor(engine: Engine, model: MaskedAutoencoder, img: Variable) {
    this.#engine = engine;
    this.#model = model;
    this.#img = img;
  }

  #forward(keep: number): Program<{ noise: 'f32' }, 'pred' | 'mask' | 'loss'> {
    return this.#engine.compile({ noise: 'f32' }, ({ noise }, t) => {
      const { pred, mask, loss } = this.#model.forward(t.use(this.#img), noise, keep);
      return { pred, mask, loss };
    });
  }

  /** Of the image that is in the variable now. `noise` (L): the `keep` patches of least noise stay. */
  async pass({ noise, keep }: ChosenMask): Promise<Pass> {
    const program = this.#programs.get(keep) ?? this.#forward(keep);
    this.#programs.set(keep, program);
    const results = await program.run({ noise: { data: noise, shape: [1, noise.length] } });
    const { pred, mask, loss } = await results.read();
    return { pred: Float32Array.from(pred), mask: Float32Array.from(mask), loss: loss[0] };
  }
}

/** One after the other: the centre of each image, as large as the model's ratio allows, resized to its size, under all masks that `masksOf` gives it. */
export async function* rebuild(
  engine: Engine,
  model: MaskedAutoencoder,
  images: Dataset,
  masksOf: (id: number) => readonly ChosenMask[],
  ids?: readonly number[],
): AsyncGenerator<Passes, void, undefined> {
  const { config } = model;
  const [height, width] = config.img_size;
  const fitting = withChannels(images, config.in_chans);
  const preparer = new Preparer(engine, config, fitting);
  const rebuilder = new Rebuilder(engine, model, preparer.images(1));
  const output = { chans: config.in_chans, height, width };
  const order = Uint32Array.from(ids ?? Array.from({ length: images.length }, (_, i) => i));
  const place = centrePlaces(output);
  for await (const batch of loadBatches(fitting, { order, batchSize: 1, place, output, capacities: newCapacities() })) {
    await preparer.run(batch);
    const img = Float32Array.from(await engine.read(preparer.images(1)));
    const passes: Pass[] = [];
    for (const mask of masksOf(batch.ids[0])) passes.push(await rebuilder.pass(mask));
    yield { id: batch.ids[0], img, passes };
  }
}

/** Which images, and how much of each is removed. */
export interface ReconstructOptions {
  readonly maskRatio: number;
  /** Patches that stay in every image, instead of random ones: then `maskRatio` and `seed` mean nothing. */
  readonly idsKeep?: readonly number[];
  /** With an image's number, decides its mask. */
  readonly seed: number;
  /** Numbers of the images within the set; all of them unless said. */
  readonly ids?: readonly number[];
}

/** An image and what became of it. */
export interface Reconstruction extends Rebuilt, Pass {
  /** Number within the set. */
  readonly id: number;
}

/** One pass over every image under a random mask. */
export async function reconstruct(
  engine: Engine,
  model: MaskedAutoencoder,
  images: Dataset,
  { maskRatio, idsKeep, seed, ids }: ReconstructOptions,
): Promise<Reconstruction[]> {
  const { config } = model;
  const keep = idsKeep?.length ?? lenKeep(patchesOf(config), maskRatio);
  const masksOf = (id: number): ChosenMask[] => [
    { noise: idsKeep ? noiseOf(idsKeep, patchesOf(config)) : noiseFor('random', config, keep, seed, id), keep },
  ];
  const results: Reconstruction[] = [];
  for await (const { id, img, passes } of rebuild(engine, model, images, masksOf, ids))
    results.push({ id, img, ...passes[0] });
  return results;
}
