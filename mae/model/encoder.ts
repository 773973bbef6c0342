// The encoder that pretraining, probing and fine-tuning share: patch embedding, positions, cls token, blocks.
// N batch, L patches, K kept patches, D width, p patch side, C channels.
import type { Engine } from '../../engine/engine.ts';
import { embed } from '../../engine/ops/embed.ts';
import { linear } from '../../engine/ops/linear.ts';
import type { Masking } from '../../engine/ops/masking.ts';
import { CONV_ORDER, patchify } from '../../engine/ops/patchify.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { Parameters } from '../../engine/parameters.ts';
import { restore } from '../../engine/ops/restore.ts';
import { numel, type Tensor } from '../../engine/tensor.ts';
import { STREAM } from '../data/streams.ts';
import { type DropoutKey, layerOf, transformerBlock } from './block.ts';
import { type EncoderConfig, encoderSpecs, patchesOf } from './config.ts';

/** An encoder whose features are wanted, without a decoder or head. */
export class VisionEncoder {
  readonly config: EncoderConfig;
  readonly parameters: Parameters;

  constructor(engine: Engine, config: EncoderConfig, weights: ReadonlyMap<string, Float32Array>) {
    this.config = config;
    // A fine-tuned encoder may lack its final norm: the blocks before it give features all the same.
    const there = encoderSpecs(config).filter(({ name }) => weights.has(name) || !name.startsWith('norm.'));
    this.parameters = new Parameters(engine, 'encoder', there);
    this.parameters.load(weights);
  }

  /** (N, 1 + L, D) of img (N, C, H, W), after the final norm: every patch seen, nothing masked and nothing random. */
  encodeAll(img: Tensor, options: ForwardOptions = {}): Tensor {
    const x = encodeTokens(this.parameters, this.config, img, everyPatch(img, this.config), options);
    return layernorm({ x, r: null, ...layerOf(this.parameters, 'norm') }, { eps: this.config.ln_eps }).y;
  }
}

/** Called with every activation that the conformance cases name; for looking inside. */
export type Watch = (name: string, value: Tensor) => void;

export interface ForwardOptions {
  readonly watch?: Watch;
  /** Called with the qkv (N, 1 + K, 3 * D) of every block of the encoder, the first being 0. */
  readonly look?: (block: number, qkv: Tensor) => void;
  readonly dropout?: DropoutKey;
  /** Values inside of blocks are computed again for the backward pass: less memory, a fifth more work. */
  readonly checkpointBlocks?: boolean;
  /** Of stochastic depth, at the last block; it rises from 0 at the first. */
  readonly dropPath?: number;
}

/** Which patches an encoder sees, in which order. */
export type Seen = Pick<Masking, 'ids_keep' | 'ids_restore'>;

/** All patches of N images, in their order. */
export function everyPatch(img: Tensor, config: EncoderConfig): Seen {
  const patches = patchesOf(config);
  const shape = [img.shape[0], patches];
  const all = img.trace.constant(
    Uint32Array.from({ length: shape[0] * patches }, (_, i) => i % patches),
    shape,
  );
  return { ids_keep: all, ids_restore: all };
}

/**
 * img (N, C, H, W) to (N, 1 + K, D), before any final norm. Patches that are not seen are never embedded; with `masked` (SimMIM) mask tokens
 * stand for them: (N, 1 + L, D).
 */
export function encodeTokens(
  parameters: Parameters,
  config: EncoderConfig,
  img: Tensor,
  { ids_keep, ids_restore }: Seen,
  options: ForwardOptions,
  masked?: Masking,
): Tensor {
  const { patch_size, depth, num_heads: heads, ln_eps: eps, dropout } = config;
  const { rows } = patchify({ img, ids: ids_keep }, { patch_size, order: CONV_ORDER }); // (N, K, C * p * p)
  const { y: emb } = linear({ x: rows, ...layerOf(parameters, 'patch_embed.proj'), r: null }, {}); // (N, K, D)
  const pos = parameters.get('pos_embed');
  const cls = parameters.get('cls_token');
  let { x } = masked ? withMaskTokens(parameters, emb, masked) : embed({ emb, pos, cls, ids_keep, ids_restore }, {});
  options.watch?.('enc_in', x);
  const { dropout: key, checkpointBlocks: checkpoint, dropPath = 0 } = options;
  for (let i = 0; i < depth; i++) {
    const rate = depth > 1 ? (dropPath * i) / (depth - 1) : dropPath;
    const streams = [STREAM.dropout + 2 * i, STREAM.dropPath + 2 * i] as const;
    const look = options.look && ((qkv: Tensor) => options.look?.(i, qkv));
    const how = { heads, eps, key, dropout, dropPath: rate, streams, checkpoint, look };
    x = transformerBlock(parameters, `blocks.${i}`, x, how);
    options.watch?.(`enc_block.${i}`, x);
  }
  return x;
}

/** (N, 1 + L, D): the kept patches in their places, the mask token in the others, positions added: the decoder's kernels, a stack earlier. */
function withMaskTokens(
  parameters: Parameters,
  emb: Tensor,
  { ids_keep, ids_restore, ids_shuffle }: Masking,
): { x: Tensor } {
  const pos = parameters.get('pos_embed');
  const nowhere = emb.trace.constant(new Float32Array(numel(pos.shape)), pos.shape);
  const { x: y } = embed({ emb, pos: nowhere, cls: parameters.get('cls_token'), ids_keep, ids_restore }, {});
  return restore({ y, mask_token: parameters.get('mask_token'), pos, ids_shuffle, ids_restore }, {});
}
