// Multi-head attention (Vaswani et al. 2017) without an L x L matrix in memory: FlashAttention (Dao et al. 2022) forward,
// FlashAttention-2 (Dao 2023) backward. q, k and v are read from one tensor (batch, tokens, 3, heads, dim), the layout
// of timm's fused qkv projection, and their gradients are written into one of the same layout, by one dispatch.
import { ceilDiv, defineKernel, fold, type Grid, type Variant, variant } from '../kernel.ts';
import { MATRIX_FEATURES } from '../lib/adapter.ts';
import type { Random } from '../random/random.ts';
import backwardCpu from './attention.backward.cpu.wgsl';
import backwardMatrix from './attention.backward.matrix.wgsl';
import backwardWhole from './attention.backward.whole.wgsl';
import backward from './attention.backward.wgsl';
import delta from './attention.delta.wgsl';
import deltaWide from './attention.delta.wide.wgsl';
import forwardCpu from './attention.forward.cpu.wgsl';
import forwardMatrix from './attention.forward.matrix.wgsl';
import forward from './attention.forward.wgsl';
import probabilities from './attention.probabilities.wgsl';
import * as ref from './attention.ref.ts';
import { laneCandidates, simtCandidates } from './candidates.ts';
import rows from './rows.wgsl';
import duty from './duty.wgsl';
import eights from './eights.wgsl';
import quads from './quads.wgsl';
import softmaxBackward from './softmax.backward.wgsl';
import softmax from './softmax.wgsl';
import stripsText from './strips.wgsl';
import {
  BACKWARD,
  backwardStrips,
  FORWARD,
  forwardStrips,
  lanes,
  rowsOf,
  share,
  type Strips,
  wholeStrips,
} from './tune.ts';

type Sizes = ref.Sizes;

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
  [1, 37, 2, 4, 16],
].map(([batch, tokens, heads, dim, scale = Math.fround(dim ** -0.5)]) => ({ batch, tokens, heads, dim, scale }));
const halves = [
  [2, 1, 3, 32],
  [1, 17, 2, 80],
  [2, 50, 3, 64],
  [1, 65, 3, 32],
  [1, 197, 1, 64],
].map(([batch, tokens, heads, dim]) => ({ batch, tokens, heads, dim, scale: Math.fround(dim ** -0.5), HALF: true }));

/** Numbers from N(0, 1). Where the scale is large they are whole quarters, so that huge scores are exact in f32 too. */
function draw(n: number, { scale }: Sizes, random: Random): Float64Array {
  const value = () => (scale > 1 ? Math.round(4 * random.normal()) / 4 : Math.fround(random.normal()));
  return Float64Array.from({ length: n }, value);
}

/** What a forward pass leaves for backward: backward's inputs cannot be just any numbers. */
function afterForward(sizes: Sizes, random: Random): { [name: string]: Float64Array } {
  const rows = sizes.batch * sizes.heads * sizes.tokens;
  const qkv = draw(rows * 3 * sizes.dim, sizes, random);
  // Gradients of order 1 at a large scale too: it multiplies what the products round.
  const dO = draw(rows * sizes.dim, sizes, random).map((v) => v / Math.max(1, sizes.scale));
  const o = new Float64Array(rows * sizes.dim);
  const lse = new Float64Array(rows);
  const delta = new Float64Array(rows);
  ref.forward({ qkv, o, lse }, sizes);
  ref.delta({ o, dO, delta }, sizes);
  return { qkv, dO, lse, delta };
}

const inEights = ({ dim, HALF }: Sizes & { HALF?: boolean }): boolean => HALF === true && dim % 8 === 0;
type Height = Pick<Strips, 'STRIPS' | 'RM' | 'MM'>;
const onMatrices = { needs: MATRIX_FEATURES, halfOperands: true, tolerance: 1e-3 };
const forwardMatrices = {
  ...onMatrices,
  grid: ({ batch, tokens, heads, ...knobs }: Sizes & Height): Grid => [ceilDiv(tokens, rowsOf(knobs)), heads, batch],
  candidates: forwardStrips,
};
const backwardMatrices = {
  ...onMatrices,
  grid: ({ batch, tokens, heads, ...knobs }: Sizes & Height): Grid => [
    2 * ceilDiv(tokens, rowsOf(knobs)),
    heads,
    batch,
  ],
  candidates: backwardStrips,
};
const twoRoles = (eight: boolean, otherwise?: Variant) =>
  variant(backwardMatrix, {
    ...backwardMatrices,
    lib: [eight ? eights : quads, stripsText, softmaxBackward],
    eights: eight ? ['HALF'] : [],
    tune: (sizes, adapter) => (!eight || inEights(sizes) ? (backwardStrips(sizes, adapter)[0] ?? null) : null),
    otherwise,
  });

/** o = softmax(scale q k^T) v, (batch, tokens, heads, dim); lse = log-sum-exp of each row of scale q k^T. */
export const attentionForward = defineKernel({
  name: 'attention.forward',
  variants: {
    simt: variant(forward, {
      grid: ({ batch, tokens, heads, WG, PARTS }) => [ceilDiv(tokens, WG / PARTS), heads, batch],
      tune: ({ dim, tokens }) => ({ ...share(dim, tokens, 64), TILE: dim > 64 ? 8 : 16 }),
      candidates: (sizes, adapter) => simtCandidates(sizes, adapter, [64, 32, 128], [16, 8, 32], 1),
    }),
    cpu: variant(forwardCpu, {
      lib: [rows],
      needs: ['subgroups'],
      grid: ({ batch, tokens, heads, SG, R }) => [ceilDiv(tokens, SG * R), heads, batch],
      tune: (sizes, adapter) => lanes(sizes, adapter, FORWARD),
      candidates: laneCandidates(FORWARD),
    }),
    matrix: variant(forwardMatrix, {
      ...forwardMatrices,
      lib: [eights, stripsText, softmax],
      eights: ['HALF'],
      tune: (sizes, adapter) => (inEights(sizes) ? (forwardStrips(sizes, adapter)[0] ?? null) : null),
      otherwise: variant(forwardMatrix, {
        ...forwardMatrices,
        lib: [quads, stripsText, softmax],
        tune: (sizes, adapter) => forwardStrips(sizes, adapter)[0] ?? null,
      }),
    }),
  },
  options: { HALF: false },
  half: { qkv: 'HALF', o: 'HALF' },
  shapes: (s) => ({ qkv: qkvShape(s), o: oShape(s), lse: rowShape(s) }),
  sizes: ['batch', 'tokens', 'heads', 'dim'],
  flops: (s) => 4 * pairs(s),
  reference: ref.forward,
  inputs: (sizes, random) => ({ qkv: draw(3 * sizes.batch * sizes.tokens * sizes.heads * sizes.dim, sizes, random) }),
  // Scores of hundreds over more than one tile: the matrix variant's sums are rescaled.
  cases: [...cases, { batch: 1, tokens: 70, heads: 2, dim: 4, scale: 32 }, ...halves],
});

/** delta = sum(dO * o) over dim, (batch, heads, tokens): an input of attention.backward. */
export const attentionDelta = defineKernel({
  name: 'attention.delta',
  variants: {
    simt: variant(deltaWide, {
      grid: ({ batch, tokens, heads, ROWS }) => fold(ceilDiv(batch * tokens * heads, ROWS)),
      tune: ({ dim, ROWS, WG }) => ({ WIDTH: dim / 4, PER: ceilDiv((ROWS * dim) / 4, WG) }),
    }),
    cpu: variant(delta, { grid: ({ batch, tokens, heads, WG }) => fold(ceilDiv(batch * tokens * heads, WG)) }),
  },
  options: { HALF: false },
  half: { o: 'HALF', dO: 'HALF' },
  shapes: (s) => ({ o: oShape(s), dO: oShape(s), delta: rowShape(s) }),
  flops: ({ batch, tokens, heads, dim }) => 2 * batch * tokens * heads * dim,
  reference: ref.delta,
  cases: [...cases, ...halves],
});

/** dqkv, (batch, tokens, 3, heads, dim), all three thirds, from dO and what forward and delta left. */
export const attentionBackward = defineKernel({
  name: 'attention.backward',
  variants: {
    simt: variant(backward, {
      grid: ({ batch, tokens, heads, WG, PARTS }) => [2 * ceilDiv(tokens, WG / PARTS), heads, batch],
      tune: ({ dim, tokens }) => ({ ...share(dim, tokens, dim > 32 ? 128 : 64), TILE: dim > 64 ? 4 : 8 }),
      candidates: (sizes, adapter) => simtCandidates(sizes, adapter, [128, 64, 32], [8, 4, 16], 2),
    }),
    cpu: variant(backwardCpu, {
      lib: [rows],
      needs: ['subgroups'],
      grid: ({ batch, tokens, heads, SG, R }) => [2 * ceilDiv(tokens, SG * R), heads, batch],
      tune: (sizes, adapter) => lanes(sizes, adapter, BACKWARD),
      candidates: laneCandidates(BACKWARD),
    }),
    matrix: variant(backwardWhole, {
      ...onMatrices,
      lib: [eights, stripsText, softmaxBackward, duty],
      eights: ['HALF'],
      grid: ({ batch, heads }) => [1, heads, batch],
      tune: (sizes, adapter) => (inEights(sizes) ? (wholeStrips(sizes, adapter)[0] ?? null) : null),
      candidates: wholeStrips,
      otherwise: twoRoles(true, twoRoles(false)),
    }),
  },
  options: { HALF: false },
  half: { qkv: 'HALF', dO: 'HALF', dqkv: 'HALF' },
  shapes: (s) => ({ qkv: qkvShape(s), dO: oShape(s), lse: rowShape(s), delta: rowShape(s), dqkv: qkvShape(s) }),
  sizes: ['batch', 'tokens', 'heads', 'dim'],
  flops: (s) => 10 * pairs(s),
  reference: ref.backward,
  inputs: afterForward,
  cases: [...cases, ...halves],
});

/**
 * probabilities = softmax(scale q k^T) of the rows of q from `first` on, (batch, heads, rows, tokens), from what forward left: what
 * attention looks at.
 */
export const attentionProbabilities = defineKernel({
  name: 'attention.probabilities',
  variants: {
    simt: variant(probabilities, {
      grid: ({ batch, heads, rows, tokens, WG }) => fold(ceilDiv(batch * heads * rows * tokens, WG)),
    }),
  },
  options: { HALF: false },
  half: { qkv: 'HALF' },
  shapes: (s) => ({
    qkv: qkvShape(s),
    lse: rowShape(s),
    probabilities: [s.batch, s.heads, s.rows, s.tokens],
  }),
  flops: ({ batch, heads, rows, tokens, dim }) => 2 * batch * heads * rows * tokens * dim,
  reference: ref.probabilities,
  inputs: afterForward,
  cases: [...cases, ...halves].flatMap((c) => [
    { ...c, first: 0, rows: c.tokens },
    { ...c, first: c.tokens >> 1, rows: Math.ceil(c.tokens / 4) },
  ]),
});
