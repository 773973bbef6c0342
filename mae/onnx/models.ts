// The three graphs that people deploy: the encoder for features, the whole autoencoder, the classifier.
// N batch, L patches, K kept patches, D width, E width of the decoder, p patch side, C channels.
import type { ClassifierConfig } from '../model/classifier.ts';
import { type EncoderConfig, lenKeep, type MaeConfig, patchesOf, patchValues } from '../model/config.ts';
import { Graph, type Value } from './graph.ts';
import * as nn from './layers.ts';

type Weights = ReadonlyMap<string, Float32Array>;

/** How a graph of the autoencoder is told which patches to remove: by noise, of which the least stays; or by their numbers. */
export const MASK_INPUTS = ['noise', 'ids'] as const;
/** One of them. */
export type MaskInput = (typeof MASK_INPUTS)[number];

const BATCH = 'batch';

const pixelInput = (g: Graph, { in_chans, img_size }: EncoderConfig): Value =>
  g.input('pixel_values', 'f32', [BATCH, in_chans, ...img_size], 'images, normalised by image_mean and image_std');

/** (N, 1 + L, D) before any final norm: every patch seen, nothing masked. */
function encodeAll(g: Graph, pixels: Value, config: EncoderConfig): Value {
  const x = nn.prependCls(g, nn.embedPatches(g, pixels, config, true), config);
  return nn.encoderBlocks(g, x, config);
}

const meanOverPatches = (g: Graph, x: Value, config: EncoderConfig): Value =>
  g.one('ReduceMean', [nn.rows(g, x, 1, 1 + patchesOf(config)), g.integers(1)], { keepdims: 0 });

const clsOf = (g: Graph, x: Value): Value => g.one('Gather', [x, g.integer(0)], { axis: 1 });

/** pixel_values to last_hidden_state (N, 1 + L, D), and of that cls and gap (N, D) and patch_tokens (N, L, D). */
export function encoderGraph(config: EncoderConfig, weights: Weights): Graph {
  const g = new Graph(weights);
  const { embed_dim: D, ln_eps } = config;
  const L = patchesOf(config);
  const x = nn.layernorm(g, 'norm', encodeAll(g, pixelInput(g, config), config), D, ln_eps);
  g.output('last_hidden_state', x, 'f32', [BATCH, 1 + L, D], 'every token after the final norm, the cls token first');
  g.output('cls', clsOf(g, x), 'f32', [BATCH, D], 'the cls token');
  g.output('gap', meanOverPatches(g, x, config), 'f32', [BATCH, D], 'the mean over patches (global average pooling)');
  g.output('patch_tokens', nn.rows(g, x, 1, 1 + L), 'f32', [BATCH, L, D], 'one token a patch, in rows from the top');
  return g;
}

/** pixel_values to logits (N, classes). */
export function classifierGraph(config: ClassifierConfig, weights: Weights): Graph {
  const g = new Graph(weights);
  const { embed_dim: D, ln_eps, nb_classes, pool } = config;
  const x = encodeAll(g, pixelInput(g, config), config);
  const features =
    pool === 'gap'
      ? nn.layernorm(g, 'fc_norm', meanOverPatches(g, x, config), D, ln_eps)
      : pool === 'cls'
        ? nn.layernorm(g, 'norm', clsOf(g, x), D, ln_eps)
        : meanOverPatches(g, nn.layernorm(g, 'norm', x, D, ln_eps), config);
  const logits = nn.linear(g, 'head', features, D, nb_classes);
  g.output('logits', logits, 'f32', [BATCH, nb_classes], 'before the softmax, in the order of the metadata id2label');
  return g;
}

interface Masks {
  /** (N, K) */
  readonly ids_keep: Value;
  /** (N, L) */
  readonly ids_restore: Value;
  /** (1): K */
  readonly keep: Value;
  /** (N, L, 1), true where a patch was removed */
  readonly removed: Value;
}

/** The inputs that say what is removed, and what follows from them. */
function maskInputs(g: Graph, config: MaeConfig, how: MaskInput, maskRatio: number): Masks {
  const L = patchesOf(config);
  const ids = (): Pick<Masks, 'ids_keep' | 'ids_restore' | 'keep'> => {
    const ids_keep = g.input('ids_keep', 'i64', [BATCH, 'len_keep'], 'patches that the encoder sees');
    const rule = 'ids_restore[i] < len_keep where patch i is ids_keep[ids_restore[i]], else it is removed';
    const ids_restore = g.input('ids_restore', 'i64', [BATCH, L], rule);
    return { ids_keep, ids_restore, keep: g.one('Shape', [ids_keep], { start: 1, end: 2 }) };
  };
  const sorted = (): Pick<Masks, 'ids_keep' | 'ids_restore' | 'keep'> => {
    const K = lenKeep(L, maskRatio);
    const noise = g.input('noise', 'f32', [BATCH, L], `uniform in [0, 1): the ${K} patches of least noise stay`);
    // The least first, ties by index: argsort, and the argsort of that, its inverse.
    const ascending = { axis: -1, largest: 0, sorted: 1 };
    const [, ids_shuffle] = g.node('TopK', [noise, g.integers(L)], ascending, 2);
    const [, ids_restore] = g.node('TopK', [ids_shuffle, g.integers(L)], ascending, 2);
    return { ids_keep: nn.rows(g, ids_shuffle, 0, K), ids_restore, keep: g.integers(K) };
  };
  return g.within('masking', () => {
    const { ids_keep, ids_restore, keep } = how === 'ids' ? ids() : sorted();
    const removed = g.one('GreaterOrEqual', [ids_restore, keep]);
    return { ids_keep, ids_restore, keep, removed: g.one('Unsqueeze', [removed, g.integers(-1)]) };
  });
}

/** (N, 1 + K, D) to (N, 1 + L, E): kept tokens back in their places, the mask token in the others, positions added. */
function restore(g: Graph, y: Value, config: MaeConfig, masks: Masks): Value {
  const E = config.decoder_embed_dim;
  const L = patchesOf(config);
  return g.within('restore', () => {
    const kept = g.one('Slice', [y, g.integers(1), g.one('Add', [masks.keep, g.integers(1)]), g.integers(1)]);
    // Removed patches fetch some kept one, which the mask token then covers.
    const last = g.one('Sub', [masks.keep, g.integers(1)]);
    const fetched = nn.gathered(g, kept, g.one('Min', [masks.ids_restore, last]));
    const filled = g.one('Where', [masks.removed, g.weight('mask_token', 1, 1, E), fetched]);
    const x = g.one('Concat', [nn.rows(g, y, 0, 1), filled], { axis: 1 });
    return g.one('Add', [x, g.weight('decoder_pos_embed', 1, 1 + L, E)]);
  });
}

/** What the encoder makes of the kept patches, and the decoder of that: (N, L, p * p * C). */
function maePrediction(g: Graph, pixels: Value, config: MaeConfig, masks: Masks): Value {
  const { embed_dim: D, decoder_embed_dim: E, ln_eps: eps } = config;
  const seen = g.within('masking', () => nn.gathered(g, nn.embedPatches(g, pixels, config, true), masks.ids_keep));
  const tokens = nn.encoderBlocks(g, nn.prependCls(g, seen, config), config);
  const latent = nn.layernorm(g, 'norm', tokens, D, eps);
  const x = restore(g, nn.linear(g, 'decoder_embed', latent, D, E), config, masks);
  const decoder = { dim: E, heads: config.decoder_num_heads, hidden: E * config.mlp_ratio, eps };
  const decoded = nn.blocks(g, 'decoder_blocks', x, config.decoder_depth, decoder);
  // The cls token has no pixels.
  const patches = nn.rows(g, decoded, 1, 1 + patchesOf(config));
  return nn.linear(g, 'decoder_pred', nn.layernorm(g, 'decoder_norm', patches, E, eps), E, patchValues(config));
}

/** SimMIM: mask tokens stand for removed patches in the encoder itself, and one linear layer predicts pixels. */
function simmimPrediction(g: Graph, pixels: Value, config: MaeConfig, masks: Masks): Value {
  const { embed_dim: D, ln_eps: eps } = config;
  const L = patchesOf(config);
  const x = g.within('masking', () => {
    const patches = nn.embedPatches(g, pixels, config, false);
    const filled = g.one('Where', [masks.removed, g.weight('mask_token', 1, 1, D), patches]);
    return g.one('Add', [filled, nn.rows(g, g.weight('pos_embed', 1, 1 + L, D), 1, 1 + L)]);
  });
  const tokens = nn.encoderBlocks(g, nn.prependCls(g, x, config), config);
  const patches = nn.rows(g, nn.layernorm(g, 'norm', tokens, D, eps), 1, 1 + L);
  return nn.linear(g, 'decoder_pred', patches, D, patchValues(config));
}

/** Predictions as pixels: where the target was normalised per patch, with the true patches' mean and variance, as training took them away. */
function pixelsOf(g: Graph, logits: Value, pixels: Value, config: MaeConfig): Value {
  if (!config.norm_pix_loss) return logits;
  const truth = nn.patchify(g, pixels, config);
  const mean = g.one('ReduceMean', [truth, g.integers(-1)], { keepdims: 1 });
  const off = g.one('Sub', [truth, mean]);
  const sum = g.one('ReduceSum', [g.one('Mul', [off, off]), g.integers(-1)], { keepdims: 1 });
  const variance = g.one('Div', [sum, g.real(Math.max(1, patchValues(config) - 1))]);
  const deviation = g.one('Sqrt', [g.one('Add', [variance, g.real(1e-6)])]);
  return g.one('Add', [g.one('Mul', [logits, deviation]), mean]);
}

/** pixel_values and what to remove, to logits (N, L, p * p * C), mask and ids_restore (N, L), and the reconstruction (N, C, H, W). */
export function maeGraph(config: MaeConfig, weights: Weights, how: MaskInput, maskRatio: number): Graph {
  const g = new Graph(weights);
  const L = patchesOf(config);
  const pixels = pixelInput(g, config);
  const masks = maskInputs(g, config, how, maskRatio);
  const predict = config.objective === 'simmim' ? simmimPrediction : maePrediction;
  const logits = predict(g, pixels, config, masks);
  const target = config.norm_pix_loss ? "pixels normalised by each patch's own mean and variance" : 'pixels';
  g.output('logits', logits, 'f32', [BATCH, L, patchValues(config)], `predicted ${target}, channels last in a patch`);
  const mask = g.within('masking', () => g.one('Cast', [g.one('Squeeze', [masks.removed, g.integers(-1)])], { to: 1 }));
  g.output('mask', mask, 'f32', [BATCH, L], '1 where a patch was removed');
  if (how === 'noise')
    g.output('ids_restore', masks.ids_restore, 'i64', [BATCH, L], 'the place of each patch in the order of the noise');
  const rebuilt = g.within('reconstruction', () => nn.unpatchify(g, pixelsOf(g, logits, pixels, config), config));
  const statistics = config.norm_pix_loss ? ", with the true patches' mean and variance" : '';
  const shape = [BATCH, config.in_chans, ...config.img_size];
  g.output(
    'reconstruction',
    rebuilt,
    'f32',
    shape,
    `the prediction as an image, normalised as pixel_values${statistics}`,
  );
  return g;
}
