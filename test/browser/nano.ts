// The nano model for a page and for Node alike: some training steps and a reconstruction, on images and weights that a seed gives.
import type { Device } from '../../engine/device.ts';
import { Engine } from '../../engine/engine.ts';
import { openDevice } from '../../engine/index.ts';
import { numel } from '../../engine/tensor.ts';
import { configure, MaskedAutoencoder, type MaeConfig, pretrainStep } from '../../mae/browser.ts';
import { random } from '../../kernels/random/random.ts';

export interface Training {
  readonly seed: number;
  readonly batch: number;
  readonly steps: number;
  readonly changes?: Partial<MaeConfig>;
}

export interface Trained {
  /** What the adapter calls itself. */
  readonly adapter: string;
  readonly profile: string;
  readonly subgroups: readonly [number, number];
  readonly losses: number[];
}

/** Losses of the first steps: masks from the seed, AdamW, weights from the seed. */
export async function train(device: Device, { seed, batch, steps, changes }: Training): Promise<Trained> {
  using engine = new Engine(device);
  const config = configure('mae_vit_nano_patch4_32', changes);
  const shape = [batch, config.in_chans, ...config.img_size];
  const data = Float32Array.from({ length: numel(shape) }, random(seed).normal);
  const images = engine.variable('images', shape, { data });
  const model = new MaskedAutoencoder(engine, config, seed);
  const trainer = pretrainStep(engine, model, () => images, { mask_ratio: 0.75, seed, weight_decay: 0.05 });
  const ids = { data: Uint32Array.from({ length: batch }, (_, i) => i), shape: [batch] };
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const [result] = await trainer.step({ ids, clock: { data: Uint32Array.of(0, i), shape: [2] } }, { lr: 1e-3 });
    losses.push((await result.read()).loss[0]);
  }
  const { profile, subgroupMinSize, subgroupMaxSize } = device.traits;
  return { adapter: device.adapter.id, profile, subgroups: [subgroupMinSize, subgroupMaxSize], losses };
}

/** The same on the page's own adapter. */
export async function trainHere(training: Training): Promise<Trained> {
  using device = await openDevice((globalThis as unknown as { navigator: { gpu: GPU } }).navigator.gpu);
  return await train(device, training);
}
