// Hugging Face's config.json and preprocessor_config.json, read and written; and the config.json of timm's models.
import { fail } from '../../engine/errors.ts';
import type { ByteSource } from '../../engine/safetensors.ts';
import { parseStrictJson } from '../../engine/strictjson.ts';
import type { ClassifierConfig } from '../model/classifier.ts';
import type { EncoderConfig, MaeConfig } from '../model/config.ts';
import { readSmall } from './place.ts';
import type { Hints } from './sizes.ts';
import { isRecord, named } from './tensorfile.ts';

/** A config may list 21,000 classes twice. */
const MOST_BYTES = 8 << 20;
const MOST_DEPTH = 12;

export type Json = Readonly<Record<string, unknown>>;

export async function readJson(source: ByteSource): Promise<Json> {
  const bytes = await readSmall(source, MOST_BYTES);
  const value = named(source, () => parseStrictJson(bytes, MOST_DEPTH));
  return isRecord(value) ? value : fail(`${source.name}: is no object: is it a config.json?`);
}

/** An own key's value, null as absent. */
const get = (json: Json, key: string): unknown => (Object.hasOwn(json, key) ? (json[key] ?? undefined) : undefined);

function number(json: Json, key: string, standard?: number): number | undefined {
  const value = get(json, key) ?? standard;
  if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
  return fail(`config.json: ${key} must be a number`);
}

/** transformers leaves out of a config.json what has its default. */
const DEFAULTS = { layer_norm_eps: 1e-12, num_attention_heads: 12, decoder_num_attention_heads: 16, mask_ratio: 0.75 };

/** What a config.json of transformers says that shapes do not; what it says besides must fit them. */
export function hintsOfHf(config: Json): Hints & { readonly maskRatio: number } {
  const activation = get(config, 'hidden_act') ?? 'gelu';
  if (activation !== 'gelu') fail(`config.json: hidden_act is ${show(activation)}, models here have gelu`);
  if (get(config, 'qkv_bias') === false) fail('config.json: qkv_bias is false, models here have one');
  const image = get(config, 'image_size');
  const norm = get(config, 'norm_pix_loss') ?? false;
  if (typeof norm !== 'boolean') fail('config.json: norm_pix_loss must be true or false');
  const maskRatio = number(config, 'mask_ratio', DEFAULTS.mask_ratio) as number;
  if (!(maskRatio >= 0 && maskRatio < 1)) fail(`config.json: mask_ratio must be in [0, 1), got ${maskRatio}`);
  const ln_eps = number(config, 'layer_norm_eps', DEFAULTS.layer_norm_eps) as number;
  if (!(ln_eps > 0 && ln_eps < 1)) fail(`config.json: layer_norm_eps must be between 0 and 1, got ${ln_eps}`);
  return {
    img_size: image === undefined ? undefined : pairOf(image),
    num_heads: number(config, 'num_attention_heads', DEFAULTS.num_attention_heads),
    decoder_num_heads: number(config, 'decoder_num_attention_heads', DEFAULTS.decoder_num_attention_heads),
    ln_eps,
    norm_pix_loss: norm,
    dropout: number(config, 'hidden_dropout_prob', 0),
    maskRatio,
  };
}

/** Says where a config.json contradicts the tensors. */
export function checkHf(config: Json, sizes: EncoderConfig & Partial<MaeConfig>): void {
  const said: Record<string, number | undefined> = {
    hidden_size: sizes.embed_dim,
    num_hidden_layers: sizes.depth,
    patch_size: sizes.patch_size,
    num_channels: sizes.in_chans,
    intermediate_size: sizes.embed_dim * sizes.mlp_ratio,
  };
  if (sizes.decoder_embed_dim) {
    said.decoder_hidden_size = sizes.decoder_embed_dim;
    said.decoder_num_hidden_layers = sizes.decoder_depth;
    said.decoder_intermediate_size = sizes.decoder_embed_dim * sizes.mlp_ratio;
  }
  for (const [key, found] of Object.entries(said)) {
    const value =
      key === 'patch_size' && get(config, key) !== undefined ? pairOf(get(config, key))[0] : number(config, key);
    if (value !== undefined && value !== found) fail(`config.json: ${key} is ${value}, the tensors have ${found}`);
  }
}

function pairOf(value: unknown): [number, number] {
  const sides = Array.isArray(value) ? value : [value, value];
  if (sides.length === 2 && sides.every((side) => Number.isInteger(side) && side > 0 && side < 1e5))
    return [sides[0], sides[1]];
  return fail(`config.json: ${show(value)} is no size of an image or patch`);
}

/** Names of the classes; null where the config has none, or only LABEL_0, LABEL_1, … */
export function classesOf(config: Json, count: number): string[] | null {
  const table = get(config, 'id2label') ?? get(config, 'label_names');
  const labels = Array.isArray(table) ? { ...table } : table;
  if (!isRecord(labels)) return null;
  const names = Array.from({ length: count }, (_, i) => get(labels, String(i)));
  if (!names.every((name) => typeof name === 'string' && name.length <= 500)) return null;
  // They are printed.
  const plain = (names as string[]).map((name) => name.replace(/\p{Cc}/gu, ' '));
  return plain.every((name, i) => name === `LABEL_${i}`) ? null : plain;
}

interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * Of preprocessor_config.json (`image_mean`), or of a pretrained_cfg of timm (`mean`); null where there is none of that many channels. Without
 * `do_normalize` images stay in [0, 1].
 */
export function normalisationOf(json: Json, channels: number): Normalisation | null {
  const each = (value: number): number[] => Array.from({ length: channels }, () => value);
  if (get(json, 'do_normalize') === false) return { mean: each(0), std: each(1) };
  const [mean, std] = [get(json, 'image_mean') ?? get(json, 'mean'), get(json, 'image_std') ?? get(json, 'std')];
  const good = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length === channels && list.every((x) => typeof x === 'number' && Number.isFinite(x));
  return good(mean) && good(std) && std.every((x) => x > 0) ? { mean, std } : null;
}

/** timm's description of where its weights are from. */
export const timmConfig = (config: Json): Json | null => {
  const described = get(config, 'pretrained_cfg');
  return typeof get(config, 'architecture') === 'string' ? (isRecord(described) ? described : {}) : null;
};

/** A config.json for transformers. */
export function hfConfig(
  kind: 'autoencoder' | 'encoder' | 'classifier',
  config: EncoderConfig & Partial<MaeConfig> & Partial<ClassifierConfig>,
  { maskRatio, classes }: { readonly maskRatio: number; readonly classes: readonly string[] | null },
): Json {
  const [height, width] = config.img_size;
  const encoder = {
    hidden_size: config.embed_dim,
    num_hidden_layers: config.depth,
    num_attention_heads: config.num_heads,
    intermediate_size: config.embed_dim * config.mlp_ratio,
    hidden_act: 'gelu',
    hidden_dropout_prob: config.dropout,
    attention_probs_dropout_prob: 0,
    initializer_range: 0.02,
    layer_norm_eps: config.ln_eps,
    image_size: height === width ? height : [height, width],
    patch_size: config.patch_size,
    num_channels: config.in_chans,
    qkv_bias: true,
    torch_dtype: 'float32',
  };
  if (kind === 'classifier') {
    const names = classes ?? Array.from({ length: config.nb_classes as number }, (_, i) => `LABEL_${i}`);
    const id2label = Object.fromEntries(names.map((name, i) => [i, name]));
    const label2id = Object.fromEntries(names.map((name, i) => [name, i]));
    return { architectures: ['ViTForImageClassification'], model_type: 'vit', ...encoder, id2label, label2id };
  }
  const decoder = {
    decoder_hidden_size: config.decoder_embed_dim ?? 512,
    decoder_num_hidden_layers: config.decoder_depth ?? 8,
    decoder_num_attention_heads: config.decoder_num_heads ?? 16,
    decoder_intermediate_size: (config.decoder_embed_dim ?? 512) * config.mlp_ratio,
    mask_ratio: maskRatio,
    norm_pix_loss: config.norm_pix_loss ?? false,
  };
  const architecture = kind === 'autoencoder' ? 'ViTMAEForPreTraining' : 'ViTMAEModel';
  return { architectures: [architecture], model_type: 'vit_mae', ...encoder, ...decoder };
}

/** A preprocessor_config.json for transformers: its ViTImageProcessor stretches, where the reference crops. */
export const preprocessorConfig = (
  { img_size: [height, width] }: EncoderConfig,
  { mean, std }: Normalisation,
): Json => ({
  image_processor_type: 'ViTImageProcessor',
  do_normalize: true,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_resize: true,
  image_mean: mean,
  image_std: std,
  resample: 3,
  size: { height, width },
});

const show = (value: unknown): string => String(JSON.stringify(value)).slice(0, 60);
