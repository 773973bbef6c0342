// Multi-head attention (Vaswani et al. 2017) without an L x L matrix in memory: FlashAttention (Dao et al. 2022) forward,
// FlashAttention-2 (Dao 2023) backward. q, k and v are read from one tensor (batch, tokens, 3, heads, dim), the layout
// of timm's fused qkv projection, and their gradients are written into one of the same layout, by one dispatch.
import { type AdapterTraits, ceilDiv, defineKernel, fold, variant } from '../kernel.ts';
import type { Random } from '../random/random.ts';
import backwardCpu from './attention.backward.cpu.wgsl';
import backward from './attention.backward.wgsl';
import delta from './attention.delta.wgsl';
import forwardCpu from './attention.forward.cpu.wgsl';
import forward from './attention.forward.wgsl';
import * as ref from './attention.ref.ts';
import rows from './rows.wgsl';

type Sizes = ref.Sizes;

function checkDim(dim: number): void {
  if (dim % 4 === 0 && dim >= 4 && dim <= 128) return;
  throw new Error(`attention: the head dimension must be a multiple of 4 from 4 to 128, got ${dim}`);
}

/** simt: how many threads share a row so that each holds at most 8 vec4s of it, and how many it then holds. */
function share(dim: number): { DIM: number; PARTS: number; HELD: number } {
  checkDim(dim);
  let PARTS = 1;
  while (ceilDiv(dim / 4, PARTS) > 8) PARTS *= 2;
  return { DIM: dim, PARTS, HELD: ceilDiv(dim / 4, PARTS) };
}

/**
 * cpu: rows a lane. More rows share each load but leave more lanes idle in the last block, and past some number they
 * only spill: the cost of a block was near (R + 0.7), up to 2 rows of 512 bits and 3 of 256 (attention.md).
 */
function rowsPerLane({ dim, tokens }: Pick<Sizes, 'dim' | 'tokens'>, SG: number): number {
  const most = dim > 64 ? 1 : dim > 32 || SG >= 16 ? 2 : 3;
  const cost = (R: number) => ceilDiv(ceilDiv(tokens, SG), R) * (R + 0.7);
  let best = 1;
  for (let R = 2; R <= most; R++) if (cost(R) < cost(best)) best = R;
  return best;
}

/** cpu: knobs of both directions; more than `wide` numbers a row are taken one other row at a time. */
function lanes(sizes: Pick<Sizes, 'dim' | 'tokens'>, adapter: AdapterTraits, wide: number) {
  const SG = adapter.subgroupMaxSize;
  checkDim(sizes.dim);
  if (SG === 0) return null;
  return { DIM: sizes.dim, SG, R: rowsPerLane(sizes, SG), KB: sizes.dim > wide ? 1 : 2 };
}

const qkvShape = ({ batch, tokens, heads, dim }: Sizes) => [batch, tokens, 3, heads, dim];
const oShape = ({ batch, tokens, heads, dim }: Sizes) => [batch, tokens, heads, dim];
const rowShape = ({ batch, tokens, heads }: Sizes) => [batch, heads, tokens];
const pairs = ({ batch, tokens, heads, dim }: Sizes) => batch * heads * tokens * tokens * dim;

const cases = [
  [1, 1, 1, 4],
  [2, 2, 3, 12],
  [3, 5, 1, 32],
  [2, 17, 3, 32],
  [1, 63, 1, 80],
  [1, 64, 3, 32],
  [2, 65, 1, 64],
  [1, 33, 3, 128],
  [2, 130, 3, 12],
  [1, 130, 1, 52],
  [1, 37, 2, 4, 32],
].map(([batch, tokens, heads, dim, scale = Math.fround(dim ** -0.5)]) => ({ batch, tokens, heads, dim, scale }));

/** Numbers from N(0, 1). Where the scale is large they are whole quarters, so that huge scores are exact in f32 too. */
function draw(n: number, { scale }: Sizes, random: Random): Float64Array {
  const value = () => (scale > 1 ? Math.round(4 * random.normal()) / 4 : Math.fround(random.normal()));
  return Float64Array.from({ length: n }, value);
}

/** What a forward pass leaves for backward: backward's inputs cannot be just any numbers. */
function afterForward(sizes: Sizes, random: Random): { [name: string]: Float64Array } {
  const rows = sizes.batch * sizes.heads * sizes.tokens;
  const qkv = draw(rows * 3 * sizes.dim, sizes, random);
  const dO = draw(rows * sizes.dim, sizes, random);
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
      tune: ({ dim }) => ({ ...share(dim), WG: 64, TILE: dim > 64 ? 8 : 16 }),
    }),
    cpu: variant(forwardCpu, {
      lib: [rows],
      grid: ({ batch, tokens, heads, SG, R }) => [ceilDiv(tokens, SG * R), heads, batch],
      tune: (sizes, adapter) => lanes(sizes, adapter, 64),
    }),
  },
  shapes: (s) => ({ qkv: qkvShape(s), o: oShape(s), lse: rowShape(s) }),
  flops: (s) => 4 * pairs(s),
  reference: ref.forward,
  inputs: (sizes, random) => ({ qkv: draw(3 * sizes.batch * sizes.tokens * sizes.heads * sizes.dim, sizes, random) }),
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
      tune: ({ dim }) => ({ ...share(dim), WG: dim > 32 ? 128 : 64, TILE: dim > 64 ? 4 : 8 }),
    }),
    cpu: variant(backwardCpu, {
      lib: [rows],
      grid: ({ batch, tokens, heads, SG, R }) => [2 * ceilDiv(tokens, SG * R), heads, batch],
      tune: (sizes, adapter) => lanes(sizes, adapter, 32),
    }),
  },
  shapes: (s) => ({ qkv: qkvShape(s), dO: oShape(s), lse: rowShape(s), delta: rowShape(s), dqkv: qkvShape(s) }),
  flops: (s) => 10 * pairs(s),
  reference: ref.backward,
  inputs: afterForward,
  cases,
});
