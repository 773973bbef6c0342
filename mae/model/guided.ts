// Masks that the model itself guides: patches that it rebuilds badly (hard patches: Wang et al. 2023), or that its cls token attends to
// (AttMask: Kakogeorgiou et al. 2022), are likelier to be removed. All on the device and without memory, so that a resumed run has the same.
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { randomMasking } from '../../engine/ops/masking.ts';
import { fail } from '../../engine/errors.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { argsortGuide } from '../../kernels/argsort/argsort.ts';
import { attentionForward } from '../../kernels/attention/attention.ts';
import { attentionSaliency } from '../../kernels/attention/saliency.ts';
import { elementwiseAdd, elementwiseScale } from '../../kernels/elementwise/elementwise.ts';
import { lossForward } from '../../kernels/loss/loss.ts';
import { layerOf } from './block.ts';
import { encodeTokens, everyPatch } from './encoder.ts';
import type { Guide } from './masks.ts';
import type { MaskedAutoencoder } from './model.ts';

/**
 * Noise (N, L) that removes the patches of high score first: of `guidance` 1 by their rank alone, of 0 as the given noise would.
 * @param img (N, C, H, W)
 * @param noise (N, L)
 */
export function guidedNoise(
  model: MaskedAutoencoder,
  img: Tensor,
  noise: Tensor,
  guide: Guide,
  guidance: number,
): Tensor {
  const { trace: t } = img;
  const [batch, patches] = noise.shape;
  return t.noGrad(() => {
    const score = guide === 'loss' ? patchLosses(model, img, noise) : clsAttention(model, img);
    const { ids_restore: rank } = randomMasking(score.reshape(batch, patches), 1);
    return t.run(argsortGuide, { noise, rank }, { batch, patches, guidance }).guided;
  });
}

/** (N, L): the error of every patch, each rebuilt once from about half of the others. */
export function patchLosses(model: MaskedAutoencoder, img: Tensor, noise: Tensor): Tensor {
  const { trace: t } = img;
  const { patch_size, norm_pix_loss: NORM, loss } = model.config;
  const [batch, patches] = noise.shape;
  if (patches < 2) fail('masking: the losses of a single patch guide nothing; choose smaller patches');
  const [, chans, height, width] = img.shape;
  const sizes = { batch, chans, height, width, patch_size, NORM, L1: loss === 'l1' };
  const errors = ({ pred, mask }: { pred: Tensor; mask: Tensor }): Tensor =>
    t.run(lossForward, { img, pred, mask }, sizes).rowloss;
  const keep = patches >> 1;
  const one = model.forward(img, noise, keep);
  // The other way round: what was removed has the least noise.
  const s = t.constant(Float32Array.of(-1), [1]);
  const turned = t.run(elementwiseScale, { x: one.mask, s }, { n: batch * patches }).y.reshape(batch, patches);
  const other = model.forward(img, turned, patches - keep);
  return t.run(elementwiseAdd, { a: errors(one), b: errors(other) }, { n: batch * patches }).y;
}

/** (N, L): what the cls token attends to in the last block, mean over heads, where every patch is seen. */
export function clsAttention({ config, parameters }: MaskedAutoencoder, img: Tensor): Tensor {
  const { trace: t } = img;
  const { depth, num_heads: heads, embed_dim, ln_eps: eps } = config;
  const last = `blocks.${depth - 1}`;
  const x = encodeTokens(parameters, { ...config, depth: depth - 1 }, img, everyPatch(img, config), {});
  const { y } = layernorm({ x, r: null, ...layerOf(parameters, `${last}.norm1`) }, { eps, half: true });
  const { y: qkv } = linear({ x: y, ...layerOf(parameters, `${last}.attn.qkv`), r: null }, { half: true });
  const dim = embed_dim / heads;
  const [batch, tokens] = x.shape;
  const sizes = { batch, tokens, heads, dim, scale: dim ** -0.5, HALF: qkv.dtype === 'f16' };
  const { lse } = t.run(attentionForward, { qkv }, sizes);
  return t.run(attentionSaliency, { qkv, lse }, sizes).saliency;
}
