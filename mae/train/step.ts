// The step that pretraining replays: masks drawn on the GPU, forward, backward, AdamW in the reference's decay groups.
import type { Engine } from '../../engine/engine.ts';
import { uniformNoise } from '../../engine/ops/masking.ts';
import { LossScale } from '../../engine/optim/lossscale.ts';
import type { Variable } from '../../engine/tensor.ts';
import { Trainer } from '../../engine/trainer.ts';
import { makeOptimizer, type OptimizerChoice } from './optimizer.ts';
import { STREAM } from '../data/streams.ts';
import { decays, lenKeep, patchesOf } from '../model/config.ts';
import { guidedNoise } from '../model/guided.ts';
import type { Guide } from '../model/masks.ts';
import type { MaskedAutoencoder } from '../model/model.ts';

/** Of a batch: the samples' numbers in the data set (batch), and (epoch, step). Its images lie on the device already. */
export const STEP_INPUTS = { ids: 'u32', clock: 'u32' } as const;
/** Their dtypes, by name. */
export type StepInputs = typeof STEP_INPUTS;

/** What a step removes, drops and updates by. */
export interface StepOptions extends Partial<OptimizerChoice> {
  readonly mask_ratio: number;
  readonly seed: number;
  readonly weight_decay: number;
  readonly clip_grad?: number;
  readonly checkpoint_blocks?: boolean;
  /** Noise (batch, L) of masks that are not drawn on the device; null where it draws them. */
  readonly noise?: ((batch: number) => Variable) | null;
  /** What guides masks that are drawn on the device, if anything does, and how far. */
  readonly guide?: { readonly by: Guide; readonly guidance: number } | null;
  /** Patches that stay, where that changes from step to step; else as mask_ratio says. */
  readonly keep?: () => number;
}

/**
 * The training step of a masked autoencoder. `images` says where the images (batch, C, H, W) of a batch of a given size lie,
 * normalised: they are put there before every step.
 */
export function pretrainStep(
  engine: Engine,
  model: MaskedAutoencoder,
  images: (batch: number) => Variable,
  { mask_ratio, seed, weight_decay, clip_grad, checkpoint_blocks, noise, guide, keep, ...choice }: StepOptions,
): Trainer<StepInputs> {
  const patches = patchesOf(model.config);
  const kept = keep ?? (() => lenKeep(patches, mask_ratio));
  kept();
  const optimizer = makeOptimizer(model.parameters, choice, {
    betas: [0.9, 0.95],
    group: (variable) => ({ weightDecay: decays(variable) ? weight_decay : 0, lrScale: 1 }),
    clipNorm: clip_grad,
    lossScale: engine.precision === 'f16' ? new LossScale(engine) : undefined,
    skipNonFinite: true,
  });
  return new Trainer(engine, {
    inputs: STEP_INPUTS,
    optimizer,
    variant: () => String(kept()),
    loss: ({ ids, clock }, t) => {
      const img = t.use(images(ids.shape[0]));
      const chance = noise ? t.use(noise(ids.shape[0])) : uniformNoise(ids, clock, patches, seed, STREAM.mask);
      const drawn = guide ? guidedNoise(model, img, chance, guide.by, guide.guidance) : chance;
      const dropout = { ids, clock, seed };
      const options = { dropout, checkpointBlocks: checkpoint_blocks };
      return model.forward(img, drawn, kept(), options).loss;
    },
  });
}
