// Multi-head attention (Vaswani et al. 2017) without an L x L matrix in memory: FlashAttention (Dao et al. 2022) forward,
// FlashAttention-2 (Dao 2023) backward. q, k and v are read from one tensor (batch, tokens, 3, heads, dim), the layout
// of timm's fused qkv projection, and their gradients are written into one of the same layout, by one dispatch.
import { ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import type { Random } from '../random/random.ts';
import backward from './attention.backward.wgsl';
import delta from './attention.delta.wgsl';
import forward from './attention.forward.wgsl';
import * as ref from './attention.ref.ts';

type Sizes = ref.Sizes;

/** How many threads share a row so that each holds at most `most` vec4s of it, and how many it then holds. */
function share(dim: number, most: number): { DIM: number; PARTS: number; HELD: number } {
  if (dim % 4 !== 0 || dim < 4 || dim > 128) {
    throw new Error(`attention: the head dimension must be a multiple of 4 from 4 to 128, got ${dim}`);
  }
  let PARTS = 1;
  while (ceilDiv(dim / 4, PARTS) > most) PARTS *= 2;
  return { DIM: dim, PARTS, HELD: ceilDiv(dim / 4, PARTS) };
}

const qkvShape = ({ batch, tokens, heads, dim }: Sizes) => [batch, tokens, 3, heads, dim];
const oShape = ({ batch, tokens, heads, dim }: Sizes) => [batch, tokens, heads, dim];
const rowShape = ({ batch, tokens, heads }: Sizes) => [batch, heads, tokens];
const pairs = ({ batch, tokens, heads, dim }: Sizes) => batch * heads * tokens * tokens * dim;

const cases = [
  [1, 1, 1, 4],
  [2, 2, 3, 12],
  [3, 5, 1, 32],
  [2, 17, 3, 16],
  [1, 63, 1, 80],
  [1, 64, 3, 4],
  [2, 65, 1, 64],
  [1, 33, 3, 128],
  [1, 130, 3, 32],
  [1, 130, 1, 124],
].map(([batch, tokens, heads, dim]) => ({ batch, tokens, heads, dim, scale: Math.fround(dim ** -0.5) }));

/** What a forward pass leaves for backward: backward's inputs cannot be just any numbers. */
function afterForward(sizes: Sizes, random: Random): { [name: string]: Float64Array } {
  const rows = sizes.batch * sizes.heads * sizes.tokens;
  const draw = (n: number) => Float64Array.from({ length: n }, () => Math.fround(random.normal()));
  const qkv = draw(rows * 3 * sizes.dim);
  const dO = draw(rows * sizes.dim);
  const o = new Float64Array(rows * sizes.dim);
  const lse = new Float64Array(rows);
  const delta = new Float64Array(rows);
  ref.forward({ qkv, o, lse }, sizes);
  ref.delta({ o, dO, delta }, sizes);
  return { qkv, dO, lse, delta };
}

/** o = softmax(scale q k^T) v, (batch, tokens, heads, dim); lse = log-sum-exp of each row of scale q k^T. */
export const attentionForward = defineKernel({
  name: 'attention.forward',
  variants: {
    simt: variant(forward, {
      grid: ({ batch, tokens, heads, WG, PARTS }) => [ceilDiv(tokens, WG / PARTS), heads, batch],
      tune: ({ dim }) => ({ ...share(dim, 8), WG: 64, TILE: dim > 64 ? 8 : 16 }),
    }),
  },
  shapes: (s) => ({ qkv: qkvShape(s), o: oShape(s), lse: rowShape(s) }),
  flops: (s) => 4 * pairs(s),
  reference: ref.forward,
  cases,
});

/** delta = sum(dO * o) over dim, (batch, heads, tokens): an input of attention.backward. */
export const attentionDelta = defineKernel({
  name: 'attention.delta',
  variants: {
    simt: variant(delta, { grid: ({ batch, tokens, heads, WG }) => fold(ceilDiv(batch * tokens * heads, WG)) }),
  },
  shapes: (s) => ({ o: oShape(s), dO: oShape(s), delta: rowShape(s) }),
  flops: ({ batch, tokens, heads, dim }) => 2 * batch * tokens * heads * dim,
  reference: ref.delta,
  cases,
});

/** dqkv, (batch, tokens, 3, heads, dim), all three thirds, from dO and what forward and delta left. */
export const attentionBackward = defineKernel({
  name: 'attention.backward',
  variants: {
    simt: variant(backward, {
      grid: ({ batch, tokens, heads, WG, PARTS }) => [2 * ceilDiv(tokens, WG / PARTS), heads, batch],
      tune: ({ dim }) => ({ ...share(dim, 5), WG: dim > 64 ? 64 : 128, TILE: 8 }),
    }),
  },
  shapes: (s) => ({ qkv: qkvShape(s), dO: oShape(s), lse: rowShape(s), delta: rowShape(s), dqkv: qkvShape(s) }),
  flops: (s) => 10 * pairs(s),
  reference: ref.backward,
  inputs: afterForward,
  cases,
});
