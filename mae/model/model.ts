// The masked autoencoder of He et al. 2021, step by step as facebookresearch/mae's models_mae.py.
// N batch, L patches, K kept patches, D width of the encoder, E of the decoder, p patch side, C channels.
import type { Engine } from '../../engine/engine.ts';
import { attention } from '../../engine/ops/attention.ts';
import { add, dropout } from '../../engine/ops/elementwise.ts';
import { embed } from '../../engine/ops/embed.ts';
import { layernorm } from '../../engine/ops/layernorm.ts';
import { linear } from '../../engine/ops/linear.ts';
import { maskedMse } from '../../engine/ops/masked-mse.ts';
import { type Masking, randomMasking } from '../../engine/ops/masking.ts';
import { mlp } from '../../engine/ops/mlp.ts';
import { CONV_ORDER, patchify } from '../../engine/ops/patchify.ts';
import { restore } from '../../engine/ops/restore.ts';
import { take } from '../../engine/ops/take.ts';
import { Parameters } from '../../engine/parameters.ts';
import type { Tensor, Variable } from '../../engine/tensor.ts';
import { STREAM } from '../data/streams.ts';
import { checked, type MaeConfig, parameterSpecs } from './config.ts';
import { initialWeights } from './init.ts';

/** Called with every activation that the conformance cases name; for looking inside. */
export type Watch = (name: string, value: Tensor) => void;

/** What dropout is keyed by; without it nothing is dropped, as in evaluation. */
export interface DropoutKey {
  /** (N), u32: the samples' numbers in the data set */
  readonly ids: Tensor;
  /** (2), u32: epoch and step */
  readonly clock: Tensor;
  readonly seed: number;
}

export interface ForwardOptions {
  readonly watch?: Watch;
  readonly dropout?: DropoutKey;
  /** Values inside of blocks are computed again for the backward pass: less memory, a fifth more work. */
  readonly checkpointBlocks?: boolean;
}

export interface MaeOutput extends Masking {
  /** (1): mean over removed patches */
  readonly loss: Tensor;
  /** (N, L, p * p * C) */
  readonly pred: Tensor;
  /** (N, 1 + K, D) */
  readonly latent: Tensor;
}

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
    const latent = this.encode(img, masking, options);
    const pred = this.decode(latent, masking, options);
    return { ...masking, latent, pred, loss: this.loss(img, pred, masking.mask) };
  }

  /** (N, 1 + K, D), after the final norm. The unseen patches are never embedded. */
  encode(img: Tensor, { ids_keep, ids_restore }: Masking, options: ForwardOptions = {}): Tensor {
    const { patch_size, depth, num_heads } = this.config;
    const { rows } = patchify({ img, ids: ids_keep }, { patch_size, order: CONV_ORDER }); // (N, K, C * p * p)
    const { y: emb } = linear({ x: rows, ...this.#layer('patch_embed.proj'), r: null }, {}); // (N, K, D)
    let { x } = embed({ emb, pos: this.#get('pos_embed'), cls: this.#get('cls_token'), ids_keep, ids_restore }, {});
    options.watch?.('enc_in', x);
    for (let i = 0; i < depth; i++) {
      x = this.#block(`blocks.${i}`, x, num_heads, STREAM.dropout + 2 * i, options);
      options.watch?.(`enc_block.${i}`, x);
    }
    return this.#norm('norm', x, null, false).y;
  }

  /** (N, L, p * p * C): a prediction for every patch, kept ones too. */
  decode(latent: Tensor, { ids_restore, ids_shuffle }: Masking, options: ForwardOptions = {}): Tensor {
    const { depth, decoder_depth, decoder_num_heads } = this.config;
    const { y } = linear({ x: latent, ...this.#layer('decoder_embed'), r: null }, {}); // (N, 1 + K, E)
    const mask_token = this.#get('mask_token');
    let { x } = restore({ y, mask_token, pos: this.#get('decoder_pos_embed'), ids_shuffle, ids_restore }, {}); // (N, 1 + L, E)
    options.watch?.('dec_in', x);
    for (let i = 0; i < decoder_depth; i++) {
      x = this.#block(`decoder_blocks.${i}`, x, decoder_num_heads, STREAM.dropout + 2 * (depth + i), options);
      options.watch?.(`dec_block.${i}`, x);
    }
    // The cls token has no pixels: its row is dropped before the projection, which then is not computed for it.
    const rows = Array.from({ length: x.shape[1] - 1 }, (_, l) => l + 1);
    const { y: normed } = this.#norm('decoder_norm', take({ x }, { rows }).y);
    return linear({ x: normed, ...this.#layer('decoder_pred'), r: null }, {}).y;
  }

  /** (1): mean squared error over removed patches, against pixels or per-patch-normalised pixels. */
  loss(img: Tensor, pred: Tensor, mask: Tensor): Tensor {
    const { patch_size, norm_pix_loss: normPix } = this.config;
    return maskedMse({ pred, img, mask }, { patch_size, normPix }).loss;
  }

  #block(name: string, x: Tensor, heads: number, stream: number, options: ForwardOptions): Tensor {
    const block = (input: Tensor): Tensor => this.#blockOf(name, input, heads, stream, options.dropout);
    return options.checkpointBlocks ? x.trace.checkpoint(x, block) : block(x);
  }

  /** Pre-norm transformer block: x += attn(norm1(x)); x += mlp(norm2(x)). */
  #blockOf(name: string, x: Tensor, heads: number, stream: number, key?: DropoutKey): Tensor {
    const first = this.#norm(`${name}.norm1`, x);
    const { y: qkv } = linear({ x: first.y, ...this.#layer(`${name}.attn.qkv`), r: null }, { half: true });
    const { o } = attention({ qkv }, { heads });
    const proj = this.#layer(`${name}.attn.proj`);
    const fc1 = this.#layer(`${name}.mlp.fc1`);
    const fc2 = this.#layer(`${name}.mlp.fc2`);
    const hidden = { w1: fc1.w, b1: fc1.b, w2: fc2.w, b2: fc2.b };
    if (!key || this.config.dropout === 0) {
      const { y } = linear({ x: o, ...proj, r: first.s }, {});
      const second = this.#norm(`${name}.norm2`, y);
      return mlp({ x: second.y, ...hidden, r: second.s }, {}).y;
    }
    // With dropout the residual is added by the next norm, after the branch has been thinned.
    const drop = (value: Tensor, s: number): Tensor =>
      dropout({ x: value, ids: key.ids, clock: key.clock }, { rate: this.config.dropout, seed: key.seed, stream: s }).y;
    const attended = drop(linear({ x: o, ...proj, r: null }, {}).y, stream);
    const second = this.#norm(`${name}.norm2`, attended, first.s);
    return add({ a: second.s, b: drop(mlp({ x: second.y, ...hidden, r: null }, {}).y, stream + 1) }, {}).y;
  }

  #norm(name: string, x: Tensor, r: Tensor | null = null, half = true): { y: Tensor; s: Tensor } {
    return layernorm({ x, r, ...this.#layer(name) }, { eps: this.config.ln_eps, half });
  }

  #layer(name: string): { w: Variable; b: Variable } {
    return { w: this.#get(`${name}.weight`), b: this.#get(`${name}.bias`) };
  }

  #get(name: string): Variable {
    return this.parameters.get(name);
  }
}
