// A vision transformer that classifies: the encoder with a head on the mean of its patches, or on its cls token
// (MAE, appendix A.1; facebookresearch/mae's models_vit.py, by whose names its weights go).
import type { Engine } from '../../engine/engine.ts';
import { fail } from '../../engine/errors.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { pool } from '../../engine/ops/pool.ts';
import { take } from '../../engine/ops/take.ts';
import { Parameters, type ParameterSpec } from '../../engine/parameters.ts';
import { numel, type Tensor } from '../../engine/tensor.ts';
import { random } from '../../kernels/random/random.ts';
import { STREAM } from '../data/streams.ts';
import { layerOf } from './block.ts';
import { checkedEncoder, type EncoderConfig, gridOf, patchesOf, specList } from './config.ts';
import { encodeTokens, everyPatch, type ForwardOptions } from './encoder.ts';
import { initialWeights } from './init.ts';
import { interpolatePositions, sinCosPositions } from './posembed.ts';

export interface ClassifierConfig extends EncoderConfig {
  readonly nb_classes: number;
  /**
   * What the head sees: the mean over patches with a norm of its own after it (gap), the cls token after the encoder's norm (cls), or the
   * mean over patches after that norm (normed), as linear probes of the mean do.
   */
  readonly pool: 'gap' | 'cls' | 'normed';
  /** Rate of stochastic depth at the last block. */
  readonly drop_path: number;
}

export const checkedClassifier = (c: ClassifierConfig): ClassifierConfig => {
  if (!(c.drop_path >= 0 && c.drop_path < 1)) fail(`model: drop_path must be in [0, 1), got ${c.drop_path}`);
  return checkedEncoder(c);
};

/** Every parameter in the order of the reference's state dict; positions are trained here. `trainable` freezes those that it refuses. */
export function classifierSpecs(
  c: ClassifierConfig,
  trainable: (name: string) => boolean = () => true,
): ParameterSpec[] {
  const { specs, add, fixed, norm, linear: head, blocks } = specList(c.mlp_ratio);
  const D = c.embed_dim;
  add('cls_token', 1, 1, D);
  (c.pos_embed === 'none' ? fixed : add)('pos_embed', 1, 1 + patchesOf(c), D);
  add('patch_embed.proj.weight', D, c.in_chans, c.patch_size, c.patch_size);
  add('patch_embed.proj.bias', D);
  blocks('blocks', c.depth, D);
  norm(normOf(c), D);
  head('head', c.nb_classes, D);
  // With GAP the cls token has a part in the patches' attention only, and is trained like all else.
  return specs.map((spec) => ({ ...spec, trainable: spec.trainable !== false && trainable(spec.name) }));
}

const normOf = ({ pool: kind }: ClassifierConfig): string => (kind === 'gap' ? 'fc_norm' : 'norm');

/** For partial fine-tuning (MAE, section 4.4): the last `blocks` blocks, the norm and the head. */
export const lastBlocks =
  ({ depth }: EncoderConfig, blocks: number) =>
  (name: string): boolean => {
    const block = /^blocks\.(\d+)\./.exec(name);
    return block ? Number(block[1]) >= depth - blocks : /^(norm|fc_norm|head)\./.test(name);
  };

/** A vision transformer with a linear head, as MAE fine-tunes it (section 4). */
export class Classifier {
  readonly config: ClassifierConfig;
  readonly parameters: Parameters;

  /** `weights` by the reference's names; those that `trainable` refuses stay as they are. @throws where one is missing or of another size */
  constructor(
    engine: Engine,
    config: ClassifierConfig,
    weights: ReadonlyMap<string, Float32Array>,
    trainable?: (name: string) => boolean,
  ) {
    this.config = checkedClassifier(config);
    this.parameters = new Parameters(engine, 'weights', classifierSpecs(config, trainable));
    this.parameters.load(weights);
  }

  /** img (N, C, H, W) to logits (N, nb_classes) and the features (N, D) before the head. Without a dropout key nothing is random. */
  forward(img: Tensor, options: Omit<ForwardOptions, 'dropPath'> = {}): { logits: Tensor; features: Tensor } {
    const { config, parameters } = this;
    const how = { ...options, dropPath: config.drop_path };
    const x = encodeTokens(parameters, config, img, everyPatch(img, config), how);
    const norm = { ...layerOf(parameters, normOf(config)), r: null };
    const attributes = { eps: config.ln_eps };
    const pooled =
      config.pool === 'gap'
        ? pool({ x }, {}).y
        : config.pool === 'cls'
          ? take({ x }, { rows: [0] }).y.reshape(img.shape[0], config.embed_dim)
          : x;
    const { y } = layernorm({ x: pooled, ...norm }, attributes);
    const features = config.pool === 'normed' ? pool({ x: y }, {}).y : y;
    return { logits: linear({ x: features, ...layerOf(parameters, 'head'), r: null }, {}).y, features };
  }
}

interface HeadOptions {
  readonly seed: number;
  /** Of the normal distribution that the head's weights begin with: 2e-5 in the reference's fine-tuning. */
  readonly std?: number;
}

/**
 * Weights to begin with: the encoder's own, with positions made for another grid where that differs, and a fresh norm and head. Without an
 * encoder (`from` null), training begins from scratch.
 */
export function classifierWeights(
  config: ClassifierConfig,
  from: { readonly config: EncoderConfig; readonly weights: ReadonlyMap<string, Float32Array> } | null,
  { seed, std = 2e-5 }: HeadOptions,
): Map<string, Float32Array> {
  const scratch = from ? null : initialWeights({ ...config, ...NO_DECODER }, seed);
  return new Map(
    classifierSpecs(config).map(({ name, shape }, i): [string, Float32Array] => {
      const fresh = freshHead(name, numel(shape), seed, i, std);
      if (fresh) return [name, fresh];
      if (name === 'pos_embed' && from) return [name, positionsFor(config, from)];
      const data = (from?.weights ?? scratch)?.get(name) ?? fail(`classifier: the encoder's weights lack ${name}`);
      if (data.length !== numel(shape))
        fail(
          `classifier: ${name} needs ${numel(shape)} elements, the encoder's has ${data.length}: sizes must be equal`,
        );
      return [name, data];
    }),
  );
}

/** Any decoder: only the encoder's part of its weights is taken. */
export const NO_DECODER = { decoder_embed_dim: 4, decoder_depth: 1, decoder_num_heads: 1, norm_pix_loss: false };

function freshHead(name: string, n: number, seed: number, index: number, std: number): Float32Array | null {
  if (name === 'head.bias' || name === 'fc_norm.bias') return new Float32Array(n);
  if (name === 'fc_norm.weight') return new Float32Array(n).fill(1);
  if (name !== 'head.weight') return null;
  const rng = random(seed, STREAM.head + index);
  return new Float32Array(n).map(() => std * rng.normal());
}

function positionsFor(
  config: ClassifierConfig,
  from: { readonly config: EncoderConfig; readonly weights: ReadonlyMap<string, Float32Array> },
): Float32Array {
  const table = from.weights.get('pos_embed') ?? fail("classifier: the encoder's weights lack pos_embed");
  const [before, now] = [gridOf(from.config), gridOf(config)];
  const same = before[0] === now[0] && before[1] === now[1];
  // Those of pretraining are exact for any grid; trained ones are interpolated.
  const fixed = (from.config.pos_embed ?? 'sincos') === 'sincos' && isSinCos(table, config.embed_dim, before);
  if (same || !fixed) return interpolatePositions(table, config.embed_dim, before, now);
  return sinCosPositions(config.embed_dim, now);
}

const isSinCos = (table: Float32Array, dim: number, grid: readonly [number, number]): boolean =>
  sinCosPositions(dim, grid).every((x, i) => Math.abs(x - table[i]) < 1e-6);
