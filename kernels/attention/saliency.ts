// What the cls token attends to: which patches the model itself takes to matter (AttMask, Kakogeorgiou et al. 2022).
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import type { Random } from '../random/random.ts';
import * as ref from './attention.ref.ts';
import saliency from './attention.saliency.wgsl';

const cases = [
  [1, 2, 1, 4],
  [3, 5, 3, 12],
  [2, 65, 2, 32],
  [1, 130, 1, 80],
].map(([batch, tokens, heads, dim]) => ({ batch, tokens, heads, dim, scale: Math.fround(dim ** -0.5) }));

/** Log-sum-exps that belong to the scores. */
function afterForward(sizes: ref.Sizes, random: Random): { [name: string]: Float64Array } {
  const rows = sizes.batch * sizes.heads * sizes.tokens;
  const qkv = Float64Array.from({ length: rows * 3 * sizes.dim }, () => Math.fround(random.normal()));
  const lse = new Float64Array(rows);
  ref.forward({ qkv, o: new Float64Array(rows * sizes.dim), lse }, sizes);
  return { qkv, lse };
}

/** saliency (batch, tokens - 1) = mean over heads of softmax(scale q k^T) of token 0, without its own part; lse is attention.forward's. */
export const attentionSaliency = defineKernel({
  name: 'attention.saliency',
  variants: { simt: variant(saliency, { grid: ({ batch, tokens, WG }) => fold(ceilDiv(batch * (tokens - 1), WG)) }) },
  options: { HALF: false },
  half: { qkv: 'HALF' },
  shapes: ({ batch, tokens, heads, dim }) => ({
    qkv: [batch, tokens, 3, heads, dim],
    lse: [batch, heads, tokens],
    saliency: [batch, tokens - 1],
  }),
  flops: ({ batch, tokens, heads, dim }) => 2 * batch * (tokens - 1) * heads * dim,
  reference: ref.saliency,
  inputs: afterForward,
  cases: [...cases, { ...cases[1], HALF: true }, { ...cases[2], HALF: true }],
});
