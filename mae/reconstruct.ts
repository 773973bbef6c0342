// Lets a model rebuild images from the patches that a random mask leaves: what the panels show.
import type { Engine } from '../engine/engine.ts';
import { uniformNoise } from '../engine/ops/masking.ts';
import type { Dataset } from './data/dataset.ts';
import { loadBatches } from './data/loader.ts';
import { newCapacities } from './data/pack.ts';
import { centrePlaces } from './data/sampler.ts';
import { STREAM } from './data/streams.ts';
import { lenKeep, patchesOf } from './model/config.ts';
import { noiseOf } from './model/masks.ts';
import type { MaskedAutoencoder } from './model/model.ts';
import type { Rebuilt } from './pictures/panel.ts';
import { Preparer } from './train/prepare.ts';

export interface ReconstructOptions {
  readonly maskRatio: number;
  /** Patches that stay in every image, instead of random ones: then `maskRatio` and `seed` mean nothing. */
  readonly idsKeep?: readonly number[];
  /** With an image's number, decides its mask. */
  readonly seed: number;
  /** Numbers of the images within the set; all of them unless said. */
  readonly ids?: readonly number[];
}

export interface Reconstruction extends Rebuilt {
  /** Number within the set. */
  readonly id: number;
  /** Mean squared error over the removed patches, as in training. */
  readonly loss: number;
}

/** One after the other: the centre of each image, as large as the model's ratio allows, resized to its size. */
export async function reconstruct(
  engine: Engine,
  model: MaskedAutoencoder,
  images: Dataset,
  { maskRatio, idsKeep, seed, ids }: ReconstructOptions,
): Promise<Reconstruction[]> {
  const { config } = model;
  const [height, width] = config.img_size;
  const patches = patchesOf(config);
  const keep = idsKeep?.length ?? lenKeep(patches, maskRatio);
  const preparer = new Preparer(engine, config, images);
  const program = engine.compile({ ids: 'u32', clock: 'u32' }, ({ ids: numbers, clock }, t) => {
    const img = t.use(preparer.images(1));
    const noise = idsKeep
      ? t.constant(noiseOf(idsKeep, patches), [1, patches])
      : uniformNoise(numbers, clock, patches, seed, STREAM.heldout);
    const { pred, mask, loss } = model.forward(img, noise, keep);
    return { pred, mask, loss };
  });
  const clock = { data: new Uint32Array(2), shape: [2] };
  const output = { chans: config.in_chans, height, width };
  const order = Uint32Array.from(ids ?? Array.from({ length: images.length }, (_, i) => i));
  const place = centrePlaces(output);
  const results: Reconstruction[] = [];
  for await (const batch of loadBatches(images, { order, batchSize: 1, place, output, capacities: newCapacities() })) {
    await preparer.run(batch);
    const { pred, mask, loss } = await (await program.run({ ids: { data: batch.ids, shape: [1] }, clock })).read();
    const img = await engine.read(preparer.images(1));
    results.push({ id: batch.ids[0], img: Float32Array.from(img), pred: Float32Array.from(pred), mask, loss: loss[0] });
  }
  return results;
}
