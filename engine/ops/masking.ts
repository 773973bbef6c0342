// Random masking: which patches stay, from noise (MAE, section 3, "Masking"; `random_masking` of the reference).
import { argsortMask } from '../../kernels/argsort/argsort.ts';
import { randomUniform } from '../../kernels/random/uniform.ts';
import { fail, shapeText } from '../errors.ts';
import type { Tensor } from '../tensor.ts';

/** Which patches stay, in the four forms that a model needs (random_masking of the reference). */
export interface Masking {
  /** (batch, patches), u32: argsort of the noise */
  readonly ids_shuffle: Tensor;
  /** (batch, patches), u32: its inverse */
  readonly ids_restore: Tensor;
  /** (batch, keep), u32 */
  readonly ids_keep: Tensor;
  /** (batch, patches): 1 where a patch was removed */
  readonly mask: Tensor;
}

/** Sorts noise (batch, patches); the `keep` smallest of each image stay, ties by index. */
export function randomMasking(noise: Tensor, keep: number): Masking {
  const [batch, patches] = noise.shape;
  if (noise.shape.length !== 2 || !Number.isInteger(keep) || keep < 0 || keep > patches) {
    fail(
      `randomMasking: keep must be a whole number in 0..patches of noise (batch, patches), got ${keep} and ${shapeText(noise.shape)}`,
    );
  }
  return noise.trace.run(argsortMask, { noise }, { batch, patches, keep });
}

/** U[0, 1) noise (samples, n) that depends on seed, stream, epoch and sample id alone, not on the batch. */
export function uniformNoise(ids: Tensor, clock: Tensor, n: number, seed: number, stream: number): Tensor {
  const [samples] = ids.shape;
  return ids.trace.run(randomUniform, { ids, clock }, { samples, n, seed, stream }).out;
}
