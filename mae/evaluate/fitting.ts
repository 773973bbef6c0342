// How many images a forward pass takes at once, so that none of its tensors is larger than the device binds.
import type { Engine } from '../../engine/engine.ts';
import { type EncoderConfig, patchesOf } from '../model/config.ts';

/** At most `most`, at least 1. Of an image the largest tensor is itself, or what an MLP or the fused qkv makes of its tokens. */
export function fittingBatch(
  { device }: { readonly device: { readonly traits: Pick<Engine['device']['traits'], 'maxBindingBytes'> } },
  config: EncoderConfig,
  most: number,
): number {
  const { in_chans, img_size, embed_dim, mlp_ratio } = config;
  const [height, width] = img_size;
  const tokens = (1 + patchesOf(config)) * embed_dim * Math.max(3, mlp_ratio);
  const bytes = 4 * Math.max(in_chans * height * width, tokens);
  return Math.max(1, Math.min(most, Math.floor(device.traits.maxBindingBytes / bytes)));
}
