// Random views, images and masks for tests of pictures.
import type { Random } from '../../kernels/random/random.ts';
import { configure, type MaeConfig, patchesOf } from '../../mae/model/config.ts';
import type { View } from '../../mae/render/rebuilt.ts';

/** Any grid, any channels. */
export function drawn(r: Random, norm_pix_loss = true): View {
  const patch_size = 1 + r.below(4);
  const config = configure('mae_vit_nano_patch4_32', {
    patch_size,
    img_size: [patch_size * (2 + r.below(4)), patch_size * (2 + r.below(5))],
    in_chans: [1, 3, 4][r.below(3)],
    norm_pix_loss,
  });
  const channels = Array.from({ length: config.in_chans }, () => r.uniform());
  return { config, mean: channels, std: channels.map((v) => 0.1 + v / 4) };
}
export const floats = (n: number, at: () => number): Float32Array => Float32Array.from({ length: n }, at);
export const imageOf = (rng: Random, { img_size, in_chans }: MaeConfig): Float32Array =>
  floats(in_chans * img_size[0] * img_size[1], rng.normal);
export const pixelsIn = (rng: Random, config: MaeConfig): Float32Array => imageOf(rng, config).map(() => rng.uniform());
/** Neither none nor all. */
export function someMask(rng: Random, config: MaeConfig): Float32Array {
  const mask = floats(patchesOf(config), () => rng.below(2));
  mask[0] = 1;
  mask[1] = 0;
  return mask;
}
