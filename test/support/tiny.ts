// A masked autoencoder small enough that a training step takes milliseconds, with random batches for it.
import { type Random, random } from '../../kernels/random/random.ts';
import type { Engine } from '../../engine/engine.ts';
import { AdamW, type AdamWOptions } from '../../engine/optim/adamw.ts';
import { Trainer } from '../../engine/trainer.ts';
import type { HostTensor } from '../../engine/tensor.ts';
import { configure, decays, lenKeep, type MaeConfig, patchesOf } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import { MaskedAutoencoder } from '../../mae/model/model.ts';

export const TINY: MaeConfig = configure('mae_vit_nano_patch4_32', {
  img_size: [8, 12],
  embed_dim: 24,
  depth: 2,
  num_heads: 2,
  decoder_embed_dim: 16,
  decoder_depth: 1,
  decoder_num_heads: 1,
  norm_pix_loss: true,
});

/** Initial weights whose biases and norms are no longer 0 and 1, so that a forgotten one shows. */
export function shaken(config: MaeConfig, rng: Random): Map<string, Float32Array> {
  const weights = initialWeights(config, rng.below(2 ** 31));
  for (const [name, v] of weights)
    if (/bias|norm/.test(name))
      weights.set(
        name,
        v.map((x) => x + 0.2 * rng.normal()),
      );
  return weights;
}

type TinyBatch = { img: HostTensor; noise: HostTensor };

/** N(0, 1) images and U[0, 1) noise. */
export function tinyBatch(batch: number, seed: number, config = TINY): TinyBatch {
  const rng: Random = random(seed, 3);
  const fill = (shape: number[], at: () => number): HostTensor => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, at),
  });
  return {
    img: fill([batch, config.in_chans, ...config.img_size], rng.normal),
    noise: fill([batch, patchesOf(config)], rng.uniform),
  };
}

/** Images (from, to) of a batch. */
export function slice({ img, noise }: TinyBatch, from: number, to: number): TinyBatch {
  const part = ({ data, shape }: HostTensor): HostTensor => {
    const each = data.length / shape[0];
    return { data: (data as Float32Array).slice(from * each, to * each), shape: [to - from, ...shape.slice(1)] };
  };
  return { img: part(img), noise: part(noise) };
}

/** Model, optimizer and trainer on an engine, weights from `seed`. */
export function tinyTraining(engine: Engine, seed: number, options: AdamWOptions = {}, config = TINY) {
  const model = new MaskedAutoencoder(engine, config, seed);
  const keep = lenKeep(patchesOf(config), 0.5);
  const group = ({ name, shape }: { name: string; shape: readonly number[] }) => ({
    weightDecay: decays({ name, shape }) ? 0.05 : 0,
    lrScale: 1,
  });
  const optimizer = new AdamW(model.parameters, { betas: [0.9, 0.95], group, ...options });
  const trainer = new Trainer(engine, {
    inputs: { img: 'f32', noise: 'f32' },
    optimizer,
    loss: ({ img, noise }) => model.forward(img, noise, keep).loss,
  });
  return { model, optimizer, trainer, keep };
}
