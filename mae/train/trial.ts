// The training step without a data set or a run: to plan what one takes, and to measure it.
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import type { Plan } from '../../engine/plan.ts';
import { numel } from '../../engine/tensor.ts';
import { random } from '../../kernels/random/random.ts';
import type { MaeConfig } from '../model/config.ts';
import { MaskedAutoencoder } from '../model/model.ts';
import { pretrainStep } from './step.ts';

/** A step that can be planned, and repeated. */
export interface Trial {
  readonly plan: Plan;
  /** Submits one step; what it gives waits until the device has done it, and tells the loss. */
  submit(): Promise<() => Promise<number>>;
}

/**
 * The step of pretraining on `batch` random images and fresh weights.
 * @throws where the device does not bind so many images
 */
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
