// The step that pretraining replays: masks drawn on the GPU, forward, backward, AdamW in the reference's decay groups.
import type { Engine } from '../../engine/engine.ts';
import { uniformNoise } from '../../engine/ops/masking.ts';
import { LossScale } from '../../engine/optim/lossscale.ts';
import type { Plan } from '../../engine/plan.ts';
import { fail } from '../../engine/errors.ts';
import { numel, type Variable } from '../../engine/tensor.ts';
import { Trainer } from '../../engine/trainer.ts';
import { random } from '../../kernels/random/random.ts';
import { makeOptimizer, type OptimizerChoice } from './optimizer.ts';
import { STREAM } from '../data/streams.ts';
import { decays, lenKeep, type MaeConfig, patchesOf } from '../model/config.ts';
import { guidedNoise } from '../model/guided.ts';
import type { Guide } from '../model/masks.ts';
import { MaskedAutoencoder } from '../model/model.ts';

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

export interface Trial {
  readonly plan: Plan;
  /** Submits one step; what it gives waits until the device has done it, and tells the loss. */
  submit(): Promise<() => Promise<number>>;
}

/** The same step on random images and fresh weights: to plan, to measure. */
export function trialStep(
  engine: Engine,
  config: MaeConfig,
  batch: number,
  mask_ratio: number,
  checkpoint_blocks = false,
): Trial {
  const shape = [batch, config.in_chans, ...config.img_size];
  const rng = random(0);
  const length = numel(shape);
  const { maxBindingBytes } = engine.device.traits;
  if (4 * length > maxBindingBytes) {
    fail(
      `bench: ${batch} images take ${4 * length} bytes, this device binds ${maxBindingBytes} at most; use a smaller batch`,
    );
  }
  const pixels = Float32Array.from({ length }, () => 2 * rng.uniform() - 1);
  const images = engine.variable('trial images', shape, { data: pixels });
  const model = new MaskedAutoencoder(engine, config, 0);
  const trainer = pretrainStep(engine, model, () => images, {
    mask_ratio,
    seed: 0,
    weight_decay: 0.05,
    checkpoint_blocks,
  });
  const ids = { data: Uint32Array.from({ length: batch }, (_, i) => i), shape: [batch] };
  let step = 0;
  return {
    plan: trainer.plan({ ids: ids.shape, clock: [2] }),
    submit: async () => {
      const clock = { data: Uint32Array.of(0, step++), shape: [2] };
      const [result] = await trainer.step({ ids, clock }, { lr: 1e-4 });
      return async () => (await result.read()).loss[0];
    },
  };
}

/** Images per second of a trial on an engine of its own memory: the best of a few steps after two that compile. */
export async function trialSpeed(
  engine: Engine,
  config: MaeConfig,
  batch: number,
  mask_ratio: number,
): Promise<number> {
  const { submit } = trialStep(engine, config, batch, mask_ratio);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    await (await submit())();
    if (i >= 2) best = Math.min(best, performance.now() - began);
  }
  return (1000 * batch) / best;
}
