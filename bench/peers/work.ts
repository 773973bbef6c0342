// The pieces of work and their inputs: drawn once from a seed, written to one file, the same bytes for every peer.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { random } from '../../kernels/random/random.ts';
import { lenKeep, type MaeConfig, configure, decays, parameterSpecs, patchesOf } from '../../mae/model/config.ts';
import { initialWeights } from '../../mae/model/init.ts';
import type { Place, StepWork, Work } from './protocol.ts';

export interface Piece {
  readonly name: string;
  readonly work: Work;
  /** Floating-point operations of one run: for a training step those of its matrix products, forward and backward. */
  readonly flops: number;
}

const gemm = (m: number, n: number, k: number): Piece => ({
  name: `gemm ${m}x${n}x${k}`,
  work: { kind: 'gemm', m, n, k },
  flops: 2 * m * n * k,
});

const attention = (batch: number, heads: number, tokens: number, dim: number): Piece => ({
  name: `attention ${batch}x${heads}x${tokens}x${dim}`,
  work: { kind: 'attention', batch, heads, tokens, dim },
  flops: 4 * batch * heads * tokens * tokens * dim,
});

const layernorm = (rows: number, cols: number): Piece => ({
  name: `layernorm ${rows}x${cols}`,
  work: { kind: 'layernorm', rows, cols, eps: 1e-6 },
  flops: 8 * rows * cols,
});

type StepSizes = Pick<StepWork, 'batch' | 'embed_dim' | 'depth' | 'num_heads'> &
  Pick<StepWork, 'decoder_embed_dim' | 'decoder_depth' | 'decoder_num_heads'>;

/** The model of such a step, as the engine's own model takes it. */
export const configOf = (work: StepWork): MaeConfig =>
  configure('mae_vit_nano_patch4_32', {
    img_size: [work.image, work.image],
    patch_size: work.patch,
    embed_dim: work.embed_dim,
    depth: work.depth,
    num_heads: work.num_heads,
    decoder_embed_dim: work.decoder_embed_dim,
    decoder_depth: work.decoder_depth,
    decoder_num_heads: work.decoder_num_heads,
    ln_eps: work.ln_eps,
  });

/** A training step on 32-pixel images in patches of 4, three quarters of them masked. */
export function step(sizes: StepSizes): Piece {
  const fixed = { image: 32, patch: 4, mask_ratio: 0.75, ln_eps: 1e-6 } as const;
  const optimizer = { lr: 1e-3, betas: [0.9, 0.95], eps: 1e-8, weight_decay: 0.05 } as const;
  const named = { weights: [], decaying: [] };
  const specs = parameterSpecs(configOf({ ...fixed, ...optimizer, ...named, ...sizes })).filter((s) => s.trainable);
  const work: Work = {
    kind: 'step',
    ...fixed,
    ...optimizer,
    ...sizes,
    weights: specs.map((s) => s.name),
    decaying: specs.filter(decays).map((s) => s.name),
  };
  return { name: 'mae training step', work, flops: stepFlops(work) };
}

/** The pieces that a bench runs unless told otherwise. */
export const PIECES: readonly Piece[] = [
  gemm(512, 512, 512),
  gemm(1024, 1024, 1024),
  gemm(400, 768, 3072),
  gemm(1576, 512, 2048),
  attention(8, 12, 197, 64),
  attention(8, 12, 50, 64),
  layernorm(1576, 768),
  step({
    batch: 64,
    embed_dim: 192,
    depth: 4,
    num_heads: 3,
    decoder_embed_dim: 128,
    decoder_depth: 2,
    decoder_num_heads: 4,
  }),
];

/** Twelve numbers a weight of a block; backward costs twice forward, but the patch embedding has no gradient of its input. */
function stepFlops(work: StepWork): number {
  const patches = patchesOf(configOf(work));
  const keep = lenKeep(patches, work.mask_ratio);
  const values = 3 * work.patch ** 2;
  const block = (tokens: number, dim: number) => 24 * tokens * dim * dim + 4 * tokens * tokens * dim;
  const encoder = work.depth * block(keep + 1, work.embed_dim);
  const decoder = work.decoder_depth * block(patches + 1, work.decoder_embed_dim);
  const between = 2 * (keep + 1) * work.embed_dim * work.decoder_embed_dim;
  const head = 2 * patches * work.decoder_embed_dim * values;
  const embedding = 2 * keep * values * work.embed_dim;
  return work.batch * (3 * (encoder + decoder + between + head) + 2 * embedding);
}

type Arrays = Record<string, { data: Float32Array; shape: number[] }>;

/** Draws the inputs of a piece of work into a file under `folder`. */
export function writeInputs(work: Work, folder: string): { file: string; arrays: Record<string, Place> } {
  const arrays = work.kind === 'step' ? stepArrays(work) : operands(work);
  const places: Record<string, Place> = {};
  let offset = 0;
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    places[name] = { offset, shape };
    offset += data.byteLength;
  }
  const bytes = new Uint8Array(offset);
  for (const [name, { data }] of Object.entries(arrays)) bytes.set(new Uint8Array(data.buffer), places[name].offset);
  const file = join(folder, 'inputs.f32');
  writeFileSync(file, bytes);
  return { file, arrays: places };
}

function operands(work: Exclude<Work, { kind: 'step' }>): Arrays {
  const rng = random(1);
  const normal = (...shape: number[]) => ({
    shape,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => rng.normal()),
  });
  if (work.kind === 'gemm') return { a: normal(work.m, work.k), b: normal(work.k, work.n) };
  if (work.kind === 'layernorm') {
    return { x: normal(work.rows, work.cols), w: normal(work.cols), b: normal(work.cols) };
  }
  const shape = [work.batch, work.tokens, work.heads, work.dim] as const;
  return { q: normal(...shape), k: normal(...shape), v: normal(...shape) };
}

/**
 * Weights, images and noise; and for libraries other than ours what they would otherwise have to make of these in every
 * step: which patches stay, their pixels and positions, the matrix that puts tokens back in their places, the target.
 */
function stepArrays(work: StepWork): Arrays {
  const config = configOf(work);
  const [N, L, p, side] = [work.batch, patchesOf(config), work.patch, work.image];
  const K = lenKeep(L, work.mask_ratio);
  const values = 3 * p * p;
  const rng = random(2);
  const images = Float32Array.from({ length: N * 3 * side * side }, () => rng.normal());
  const noise = Float32Array.from({ length: N * L }, () => rng.uniform());
  const weights = initialWeights(config, 3);
  const positions = weights.get('pos_embed') as Float32Array;
  const D = work.embed_dim;
  const rows = new Float32Array(N * K * values);
  const target = new Float32Array(N * L * values);
  const place = new Float32Array(N * K * D);
  const spread = new Float32Array(N * L * K);
  const mask = new Float32Array(N * L).fill(1);
  const grid = side / p;
  for (let n = 0; n < N; n++) {
    const order = Array.from({ length: L }, (_, l) => l).sort((a, b) => noise[n * L + a] - noise[n * L + b] || a - b);
    const pixel = (l: number, c: number, y: number, x: number) =>
      images[((n * 3 + c) * side + Math.floor(l / grid) * p + y) * side + (l % grid) * p + x];
    for (let l = 0; l < L; l++) {
      for (let i = 0; i < values; i++)
        target[(n * L + l) * values + i] = pixel(l, i % 3, Math.floor(i / 3 / p), Math.floor(i / 3) % p);
    }
    for (const [k, l] of order.slice(0, K).entries()) {
      for (let i = 0; i < values; i++)
        rows[(n * K + k) * values + i] = pixel(l, Math.floor(i / p / p), Math.floor(i / p) % p, i % p);
      place.set(positions.subarray((1 + l) * D, (2 + l) * D), (n * K + k) * D);
      spread[(n * L + l) * K + k] = 1;
      mask[n * L + l] = 0;
    }
  }
  const shapes = new Map(parameterSpecs(config).map(({ name, shape }) => [name, [...shape]]));
  return {
    images: { data: images, shape: [N, 3, side, side] },
    noise: { data: noise, shape: [N, L] },
    rows: { data: rows, shape: [N, K, values] },
    positions: { data: place, shape: [N, K, D] },
    spread: { data: spread, shape: [N, L, K] },
    mask: { data: mask, shape: [N, L] },
    target: { data: target, shape: [N, L, values] },
    ...Object.fromEntries([...weights].map(([name, data]) => [name, { data, shape: shapes.get(name) as number[] }])),
  };
}
