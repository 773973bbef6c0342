// The nano model for a page and for Node alike: training steps and reconstructions, on images and weights that a seed gives.
import { numel } from '../../engine/tensor.ts';
import { type Device, Engine, openDevice } from '../../engine/index.ts';
import {
  configure,
  type Dataset,
  fromPretrained,
  MaskedAutoencoder,
  pretrainStep,
  reconstruct,
  type Reconstruction,
} from '../../mae/browser.ts';
import { random } from '../../kernels/random/random.ts';
import { gpu } from './gpu.ts';

export const NANO = 'mae_vit_nano_patch4_32';

export interface Training {
  readonly seed: number;
  readonly batch: number;
  readonly steps: number;
}

export interface Trained {
  /** What the adapter calls itself. */
  readonly adapter: string;
  readonly profile: string;
  readonly subgroups: readonly [number, number];
  readonly losses: number[];
}

/** Losses of the first steps: images, masks and weights from the seed, AdamW. */
export async function train(device: Device, { seed, batch, steps }: Training): Promise<Trained> {
  using engine = new Engine(device);
  const config = configure(NANO);
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

export async function trainHere(training: Training): Promise<Trained> {
  using device = await openDevice(gpu());
  return await train(device, training);
}

/** Random bytes, larger than the model's images and not square, so that they are cropped and resized. */
function pictures(seed: number, length: number): Dataset {
  const [height, width, channels] = [37, 45, 3];
  const read = async (index: number) => {
    const rng = random(seed, index);
    const data = Uint8Array.from({ length: height * width * channels }, () => rng.below(256));
    return { data, height, width, channels, label: -1 };
  };
  return { name: 'noise', length, classes: null, channels, mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3], read };
}

export type Rebuilt = { readonly [K in 'img' | 'pred' | 'mask']: number[] } & { readonly loss: number };

/** Two images as an autoencoder of the given checkpoint rebuilds them. */
export async function rebuild(device: Device, checkpoint: string | Blob, seed: number): Promise<Rebuilt[]> {
  using engine = new Engine(device);
  const { kind, model } = await fromPretrained(engine, checkpoint);
  if (kind !== 'autoencoder') throw new Error(`the checkpoint holds a model of kind ${kind}`);
  const found = await reconstruct(engine, model, pictures(seed, 2), { maskRatio: 0.75, seed });
  return found.map(({ img, pred, mask, loss }: Reconstruction) => ({
    img: Array.from(img),
    pred: Array.from(pred),
    mask: Array.from(mask),
    loss,
  }));
}

export async function rebuildHere(address: string, seed: number): Promise<Rebuilt[]> {
  using device = await openDevice(gpu());
  return await rebuild(device, address, seed);
}
