// The masked autoencoder of He et al. 2021, step by step as facebookresearch/mae's models_mae.py.
// N batch, L patches, K kept patches, D width of the encoder, E of the decoder, p patch side, C channels.
import type { Engine } from '../../engine/engine.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { maskedMse } from '../../engine/ops/masked-mse.ts';
import { type Masking, randomMasking } from '../../engine/ops/masking.ts';
import { restore } from '../../engine/ops/restore.ts';
import { take } from '../../engine/ops/take.ts';
import { Parameters } from '../../engine/parameters.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { STREAM } from '../data/streams.ts';
import { layerOf, transformerBlock } from './block.ts';
import { checked, type MaeConfig, parameterSpecs } from './config.ts';
import { encodeTokens, everyPatch, type ForwardOptions, type Seen } from './encoder.ts';
import { initialWeights } from './init.ts';

/** What a forward pass gives, besides which patches it removed. */
export interface MaeOutput extends Masking {
  /** (1): mean over removed patches */
  readonly loss: Tensor;
  /** (N, L, p * p * C) */
  readonly pred: Tensor;
  /** (N, 1 + K, D); of SimMIM (N, 1 + L, D) */
  readonly latent: Tensor;
}

/** The cls token has no pixels: its row is dropped before the projection, which then is not computed for it. */
function withoutCls(x: Tensor): Tensor {
  return take({ x }, { rows: Array.from({ length: x.shape[1] - 1 }, (_, l) => l + 1) }).y;
}

/** The model: parameters on a device, and a forward pass to be recorded in a trace. */
export class MaskedAutoencoder {
  readonly config: MaeConfig;
  readonly parameters: Parameters;

  /** `weights`: values by the reference's names, or a seed for fresh ones; without either nothing is uploaded yet. */
  constructor(engine: Engine, config: MaeConfig, weights?: ReadonlyMap<string, Float32Array> | number) {
    this.config = checked(config);
    this.parameters = new Parameters(engine, 'weights', parameterSpecs(config));
    if (weights !== undefined)
      this.parameters.load(typeof weights === 'number' ? initialWeights(config, weights) : weights);
  }

  /** img (N, C, H, W), noise (N, L): encodes the K patches of least noise, rebuilds all, and scores the removed ones. */
  forward(img: Tensor, noise: Tensor, keep: number, options: ForwardOptions = {}): MaeOutput {
    const masking = randomMasking(noise, keep);
    const simmim = this.config.objective === 'simmim';
    const latent = this.encode(img, masking, options, simmim ? masking : undefined);
    const pred = simmim ? this.#predict(latent) : this.decode(latent, masking, options);
    return { ...masking, latent, pred, loss: this.loss(img, pred, masking.mask) };
  }

  /** (N, 1 + K, D), after the final norm. The unseen patches are never embedded. */
  encode(img: Tensor, seen: Seen, options: ForwardOptions = {}, masked?: Masking): Tensor {
    return this.#norm('norm', encodeTokens(this.parameters, this.config, img, seen, options, masked));
  }

  /** (N, 1 + L, D): every patch seen, nothing masked and nothing random: the features of an image. */
  encodeAll(img: Tensor, options: ForwardOptions = {}): Tensor {
    return this.encode(img, everyPatch(img, this.config), options);
  }

  /** (N, L, p * p * C): a prediction for every patch, kept ones too. */
  decode(latent: Tensor, { ids_restore, ids_shuffle }: Masking, options: ForwardOptions = {}): Tensor {
    const { depth, decoder_depth, decoder_num_heads, ln_eps, dropout } = this.config;
    const { y } = linear({ x: latent, ...layerOf(this.parameters, 'decoder_embed'), r: null }, {}); // (N, 1 + K, E)
    const mask_token = this.parameters.get('mask_token');
    let { x } = restore({ y, mask_token, pos: this.parameters.get('decoder_pos_embed'), ids_shuffle, ids_restore }, {}); // (N, 1 + L, E)
    options.watch?.('dec_in', x);
    const { dropout: key, checkpointBlocks: checkpoint } = options;
    for (let i = 0; i < decoder_depth; i++) {
      const streams = [STREAM.dropout + 2 * (depth + i), STREAM.dropPath] as const;
      const how = { heads: decoder_num_heads, eps: ln_eps, key, dropout, streams, checkpoint };
      x = transformerBlock(this.parameters, `decoder_blocks.${i}`, x, how);
      options.watch?.(`dec_block.${i}`, x);
    }
    return this.#pixels(this.#norm('decoder_norm', withoutCls(x), true));
  }

  /** SimMIM's head: (N, 1 + L, D), after the encoder's norm, to (N, L, p * p * C). */
  #predict(latent: Tensor): Tensor {
    return this.#pixels(withoutCls(latent));
  }

  #pixels(x: Tensor): Tensor {
    return linear({ x, ...layerOf(this.parameters, 'decoder_pred'), r: null }, {}).y;
  }

  /** (1): mean squared (or absolute) error over removed patches, against pixels or per-patch-normalised pixels. */
  loss(img: Tensor, pred: Tensor, mask: Tensor): Tensor {
    const { patch_size, norm_pix_loss: normPix, loss } = this.config;
    return maskedMse({ pred, img, mask }, { patch_size, normPix, l1: loss === 'l1' }).loss;
  }

  #norm(name: string, x: Tensor, half = false): Tensor {
    return layernorm({ x, r: null, ...layerOf(this.parameters, name) }, { eps: this.config.ln_eps, half }).y;
  }
}
