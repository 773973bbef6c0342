// What an encoder knows of an image, nothing masked and nothing random: its tokens after any block, and what is made of them.
// N batch, L patches, D width.
import { fail } from '../../engine/errors.ts';
import { pool } from '../../engine/ops/pool.ts';
import { take } from '../../engine/ops/take.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { encodeTokens, everyPatch, type VisionEncoder } from './encoder.ts';

/** An encoder, or an autoencoder of which only that is used. */
export type FeatureModel = Pick<VisionEncoder, 'config' | 'parameters' | 'encodeAll'>;

/** cls (N, D): the cls token; gap (N, D): the mean over patches; patch_tokens (N, L, D): one a patch, in rows from the top. */
export const FEATURES = ['cls', 'gap', 'patch_tokens'] as const;
/** One of them. */
export type Feature = (typeof FEATURES)[number];

/**
 * Tokens (N, 1 + L, D) of img (N, C, H, W): after the encoder's final norm, or after its first `layer` blocks as they are (0: the embedded
 * patches). Later blocks are not computed.
 */
export function tokensOf(model: FeatureModel, img: Tensor, layer?: number): Tensor {
  if (layer === undefined) return model.encodeAll(img);
  const { config, parameters } = model;
  if (!(Number.isInteger(layer) && layer >= 0 && layer <= config.depth))
    fail(`features: layer must be 0 (the embedded patches) to ${config.depth} (after the last block), got ${layer}`);
  return encodeTokens(parameters, { ...config, depth: layer }, img, everyPatch(img, config), {});
}

/** Features of img (N, C, H, W), each in the shape that FEATURES says; `layer` as in tokensOf. */
export function featuresOf<K extends Feature>(
  model: FeatureModel,
  img: Tensor,
  kinds: readonly K[],
  layer?: number,
): Record<K, Tensor> {
  const odd = kinds.find((kind) => !FEATURES.includes(kind));
  if (odd !== undefined) fail(`features: there is no ${odd}, there are ${FEATURES.join(', ')}`);
  const x = tokensOf(model, img, layer);
  const [batch, tokens, dim] = x.shape;
  const make: Record<Feature, () => Tensor> = {
    cls: () => take({ x }, { rows: [0] }).y.reshape(batch, dim),
    gap: () => pool({ x }, {}).y,
    patch_tokens: () => take({ x }, { rows: Array.from({ length: tokens - 1 }, (_, l) => l + 1) }).y,
  };
  return Object.fromEntries(kinds.map((kind) => [kind, make[kind]()])) as Record<K, Tensor>;
}

/** Of one image: (D) or (L, D). */
export const featureShape = (feature: Feature, dim: number, patches: number): number[] =>
  feature === 'patch_tokens' ? [patches, dim] : [dim];
